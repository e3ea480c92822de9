"""Train the captioner: `python scripts/train_captioner.py fit --config training/configs/NAME.yaml`.

`fit --help` lists every setting.
"""

from training import CaptionData, CaptionerSystem, train

if __name__ == "__main__":
    train(CaptionerSystem, CaptionData)
