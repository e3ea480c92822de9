"""Make a bundle of handed weights: `python scripts/adopt_weights.py --config natural128_bundle.yaml --handed FOLDER ...`."""

from training import adopt, run_script

if __name__ == "__main__":
    print(f"wrote {run_script(adopt)}")
