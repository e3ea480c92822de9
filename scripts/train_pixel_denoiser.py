"""Train the pixel denoiser: `python scripts/train_pixel_denoiser.py fit --config training/configs/NAME.yaml`; see `--help`."""

from training.commands import train
from training.pixel_denoiser import PixelDenoiserSystem

if __name__ == "__main__":
    train(PixelDenoiserSystem)
