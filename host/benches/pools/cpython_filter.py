"""The other side of the command line: JSON Lines through multiprocessing.Pool.

    cpython_filter.py host|workers FILE > RESULTS

`host` parses and prints JSON in this process, `workers` in those of the pool, where it is done in
parallel.
"""
import json
import multiprocessing
import sys


def square(x):
    return x * x


def square_text(line):
    return json.dumps(square(json.loads(line)))


def main():
    where, path = sys.argv[1:]
    with multiprocessing.Pool(2) as pool, open(path) as lines:
        write = sys.stdout.write
        if where == "host":
            for result in pool.imap(square, map(json.loads, lines), chunksize=1000):
                write(json.dumps(result) + "\n")
        else:
            for result in pool.imap(square_text, lines, chunksize=1000):
                write(result + "\n")


if __name__ == "__main__":
    main()
