"""Train the code denoiser: `python scripts/train_denoiser.py fit --config training/configs/NAME.yaml`; `--help` lists all."""

from training.commands import train
from training.denoiser import CodeData, DenoiserSystem

if __name__ == "__main__":
    train(DenoiserSystem, CodeData)
