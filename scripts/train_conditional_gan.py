"""Train the GAN baseline: `python scripts/train_conditional_gan.py fit --config training/configs/NAME.yaml`; see `--help`."""

from training.commands import train
from training.conditional_gan import ConditionalGanSystem

if __name__ == "__main__":
    train(ConditionalGanSystem)
