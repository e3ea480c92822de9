"""Train LeNet on MNIST: `python scripts/train_digits.py --out runs/digits --root data --download true`; minutes on one core."""

from training import run_script, train_digits

if __name__ == "__main__":
    print(f"wrote {run_script(train_digits)}")
