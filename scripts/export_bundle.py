"""Export trained checkpoints as a bundle: `python scripts/export_bundle.py --run runs/NAME --name NAME [--config FILE]`."""

from training import export, run_script

if __name__ == "__main__":
    print(f"wrote {run_script(export)}")
