"""Train the pixel denoiser: `python scripts/train_pixel_denoiser.py fit --config training/configs/NAME.yaml`.

`fit --help` lists every setting.
"""

from training import PixelDenoiserSystem, train

if __name__ == "__main__":
    train(PixelDenoiserSystem)
