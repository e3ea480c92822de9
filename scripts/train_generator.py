"""Train the generator: `python scripts/train_generator.py fit --config training/configs/NAME.yaml`; `--help` lists every setting."""

from training.generator import GeneratorSystem
from training.commands import train

if __name__ == "__main__":
    train(GeneratorSystem)
