"""Train the encoder: `python scripts/train_encoder.py fit --config training/configs/NAME.yaml`; `--help` lists every setting."""

from training.commands import train
from training.encoder import EncoderSystem

if __name__ == "__main__":
    train(EncoderSystem)
