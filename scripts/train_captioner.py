"""Train the captioner: `python scripts/train_captioner.py fit --config training/configs/NAME.yaml`; see `--help`."""

from training.captioner import CaptionerSystem
from training.captions import CaptionData
from training.commands import train

if __name__ == "__main__":
    train(CaptionerSystem, CaptionData)
