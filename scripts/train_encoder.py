"""Train the encoder: `python scripts/train_encoder.py fit --config training/configs/NAME.yaml`.

`fit --help` lists every setting.
"""

from training import EncoderSystem, train

if __name__ == "__main__":
    train(EncoderSystem)
