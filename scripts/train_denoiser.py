"""Train the code denoiser: `python scripts/train_denoiser.py fit --config training/configs/NAME.yaml`.

`fit --help` lists every setting.
"""

from training import CodeData, DenoiserSystem, train

if __name__ == "__main__":
    train(DenoiserSystem, CodeData)
