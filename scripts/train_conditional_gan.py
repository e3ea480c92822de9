"""Train the class-conditional GAN, a baseline: `python scripts/train_conditional_gan.py fit --config training/configs/NAME.yaml`.

`fit --help` lists every setting.
"""

from training import ConditionalGanSystem, train

if __name__ == "__main__":
    train(ConditionalGanSystem)
