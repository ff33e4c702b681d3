import sys

from trainer.main import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
