"""Train head and generator on data packs within a time limit: `python scripts/train_on_packs.py --packs FOLDER --out FOLDER`.

`--help` lists every setting; scripts/pack_pictures.py makes the packs.
"""

from training import run_script, train_on_packs

if __name__ == "__main__":
    print(f"wrote {run_script(train_on_packs)}")
