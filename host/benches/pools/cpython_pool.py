"""The other side of benches/pools: CPython's own pools, with two processes.

The argument says which: `multiprocessing`, `recycled` (the same with a new process for every item),
or `futures`. Reads one line per measurement from standard input, WHAT and a number of items, and
answers with microseconds per item:

    apply-Q      one item at a time; the time below which Q percent of them stay
    map          all at once, in the default chunks
    imap-N       lazily, in chunks of N (`futures` has only this way: it submits all at once)
    unordered-N  lazily, in chunks of N, as they end
    echo-N       N bytes to and fro, one at a time
"""
import concurrent.futures
import multiprocessing
import sys
import time

# Seconds after which a measurement hangs.
PATIENCE = 20


def square(x):
    return x * x


def same(x):
    return x


def per_item(n, run):
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) / n * 1e6


def quantile(n, share, run):
    times = []
    for i in range(n):
        start = time.perf_counter()
        run(i)
        times.append(time.perf_counter() - start)
    return sorted(times)[int(n * share)] * 1e6


def one_of_multiprocessing(pool):
    ways = {"imap": pool.imap, "unordered": pool.imap_unordered}

    def measure(way, size, n):
        if way == "apply":
            return quantile(n, size / 100, lambda i: pool.apply(square, (i,)))
        if way == "map":
            return per_item(n, lambda: pool.map_async(square, range(n), size).get(PATIENCE))
        if way == "echo":
            item = bytes(size)
            return per_item(n, lambda: [pool.apply(same, (item,)) for _ in range(n)])
        return per_item(n, lambda: sum(ways[way](square, range(n), chunksize=size)))

    return measure


def one_of_futures(pool):
    def measure(way, size, n):
        if way == "apply":
            return quantile(n, size / 100, lambda i: pool.submit(square, i).result())
        return per_item(n, lambda: sum(pool.map(square, range(n), chunksize=size)))

    return measure


def main():
    flavour = sys.argv[1]
    if flavour == "futures":
        pool = concurrent.futures.ProcessPoolExecutor(2)
        measure = one_of_futures(pool)
    else:
        tasks = 1 if flavour == "recycled" else None
        pool = multiprocessing.Pool(2, maxtasksperchild=tasks)
        measure = one_of_multiprocessing(pool)
    with pool:
        for _ in pool.map(square, range(100)):
            pass
        for line in sys.stdin:
            what, n = line.split()
            way, _, size = what.partition("-")
            wanted = (way, int(size) if size else None, int(n))
            try:
                took = measure(*wanted)
            except multiprocessing.TimeoutError:
                # Seen with a new process for every item: the pool hangs. It gets another try.
                pool.terminate()
                pool = multiprocessing.Pool(2, maxtasksperchild=tasks)
                measure = one_of_multiprocessing(pool)
                took = measure(*wanted)
            print(took, flush=True)


if __name__ == "__main__":
    main()
