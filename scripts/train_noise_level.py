"""Train the noise-level denoiser: `python scripts/train_noise_level.py fit --config training/configs/NAME.yaml`; see `--help`."""

from training.commands import train
from training.denoiser import CodeData
from training.noise_level import NoiseLevelSystem

if __name__ == "__main__":
    train(NoiseLevelSystem, CodeData)
