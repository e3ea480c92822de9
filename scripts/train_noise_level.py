"""Train the noise-level denoiser: `python scripts/train_noise_level.py fit --config training/configs/NAME.yaml`.

`fit --help` lists every setting.
"""

from training import CodeData, NoiseLevelSystem, train

if __name__ == "__main__":
    train(NoiseLevelSystem, CodeData)
