"""The other side of benches/pools: CPython's multiprocessing.Pool.

Reads one line per measurement from standard input, answers with microseconds per item.
"""
import multiprocessing
import statistics
import sys
import time


def square(x):
    return x * x


def per_item(n, run):
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) / n * 1e6


def apply_p50(pool, n):
    times = []
    for i in range(n):
        start = time.perf_counter()
        pool.apply(square, (i,))
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def main():
    with multiprocessing.Pool(2) as pool:
        pool.map(square, range(1000))
        for line in sys.stdin:
            what, n = line.split()
            n = int(n)
            if what == "apply":
                result = apply_p50(pool, n)
            elif what == "map":
                result = per_item(n, lambda: pool.map(square, range(n)))
            elif what.startswith("imap-"):
                # imap-SIZE, imap-unordered-SIZE
                way, size = what.rsplit("-", 1)
                run = pool.imap if way == "imap" else pool.imap_unordered
                result = per_item(n, lambda: sum(run(square, range(n), chunksize=int(size))))
            else:
                raise SystemExit(f"unknown measurement {what}")
            print(result, flush=True)


if __name__ == "__main__":
    main()
