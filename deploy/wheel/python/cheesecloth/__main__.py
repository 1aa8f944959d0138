"""`python -m cheesecloth`: becomes the program, so that signals and the exit status are its own."""

import os
import sys

from cheesecloth import find_program


def main() -> None:
    try:
        program = find_program()
    except FileNotFoundError as error:
        sys.exit("cheesecloth: {}".format(error))
    os.execv(program, [program, *sys.argv[1:]])


if __name__ == "__main__":
    main()
