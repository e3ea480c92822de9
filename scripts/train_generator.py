"""Train the generator: `python scripts/train_generator.py fit --config training/configs/NAME.yaml`; `fit --help` lists all."""

from training.commands import train
from training.generator import GeneratorSystem

if __name__ == "__main__":
    train(GeneratorSystem)
