"""Train the generator: `python scripts/train_generator.py fit --config training/configs/NAME.yaml`.

`fit --help` lists every setting.
"""

from training import GeneratorSystem, train

if __name__ == "__main__":
    train(GeneratorSystem)
