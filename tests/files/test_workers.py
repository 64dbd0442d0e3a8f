"""Worker processes: results in order, errors at their place, nobody left behind."""

import functools
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from leela_probe.files.workers import Pool, default_count, prefetch


def square(number):
    return number * number


def slow_square(number):
    time.sleep(0.05 * (number % 3))
    return number * number


def finished_at(_):
    time.sleep(0.3)
    return time.monotonic()


def fail_at_three(number):
    if number == 3:
        raise ValueError("three is refused")
    return number


class UnsendableError(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def fail_oddly(number):
    raise UnsendableError(1, 2)


def loaded_modules(_):
    return sorted(sys.modules)


def process_id(_):
    return os.getpid()


def print_and_square(number):
    print("printed", number)
    os.write(1, b"written\n")
    return number * number


def die(number):
    if number:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_results_come_in_the_order_of_the_items(count):
    with Pool(count) as pool:
        assert list(pool.map(slow_square, range(10))) == [number**2 for number in range(10)]


@pytest.mark.parametrize("count", [0, 2])
def test_maps_may_feed_each_other(count):
    with Pool(count) as pool:
        fourth_powers = pool.map(square, pool.map(square, range(20)))
        assert list(fourth_powers) == [number**4 for number in range(20)]


@pytest.mark.parametrize("count", [0, 2])
def test_an_error_comes_at_its_place(count):
    with Pool(count) as pool:
        results = pool.map(fail_at_three, range(6))
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ValueError, match="three is refused"):
            next(results)


def test_an_error_that_cannot_be_sent_comes_as_what_it_says():
    with Pool(1) as pool:
        results = pool.map(fail_oddly, range(6))
        with pytest.raises(UnsendableError):  # the first item is done in this process
            next(results)
        results = pool.map(fail_oddly, range(6))
        with pytest.raises(RuntimeError, match="UnsendableError: 1 and 2"):
            next(results)


@pytest.mark.parametrize("count", [0, 2])
def test_items_are_not_taken_far_ahead(count):
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    with Pool(count) as pool:
        results = pool.map(square, items())
        for _ in range(5):
            next(results)
        assert len(taken) <= 5 + 2 * count + 1


def test_the_work_is_done_in_other_processes_that_end_with_the_pool():
    with Pool(2) as pool:
        found = set(pool.map(process_id, range(30)))
    others = found - {os.getpid()}
    assert 1 <= len(others) <= 2
    for process in others:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_workers_load_neither_torch_nor_pandas_for_the_chess_side():
    code = (
        "from leela_probe.files import workers; import test_workers\n"
        "from leela_probe.puzzles import cascade, partners\n"
        "with workers.Pool(1) as pool:\n"
        "    first, second = pool.map(test_workers.loaded_modules, range(2))\n"
        "print(*(set(second) & {'torch', 'pandas', 'onnxruntime', 'pyarrow'}), 'end')\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}\n{code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "end\n"


def test_what_a_worker_prints_does_not_fall_among_the_results():
    with Pool(1) as pool:
        assert list(pool.map(print_and_square, range(5))) == [0, 1, 4, 9, 16]


def test_a_worker_that_dies_is_an_error_that_says_so():
    with Pool(1) as pool, pytest.raises(RuntimeError, match="ended in the middle of its work"):
        list(pool.map(die, range(3)))


def test_partial_functions_may_be_mapped():
    with Pool(1) as pool:
        assert list(pool.map(functools.partial(int, base=2), ["1", "10", "11"])) == [1, 2, 3]


def test_a_call_comes_before_what_is_mapped():
    with Pool(1) as pool:
        mapped = pool.map(finished_at, range(9))
        next(mapped)  # the worker has two more to do now
        called = pool.call(finished_at, 9)
        assert called < list(mapped)[1]


@pytest.mark.parametrize("count", [0, 1])
def test_calls_may_come_from_several_threads_while_items_are_mapped(count):
    with Pool(count) as pool:
        pairs = prefetch(
            functools.partial(pool.call, square), pool.map(square, range(30)), threads=3
        )
        assert list(pairs) == [(number**2, number**4) for number in range(30)]


def test_a_call_of_a_worker_that_is_dead_is_an_error():
    with Pool(1) as pool:
        for _ in range(2):
            with pytest.raises(RuntimeError, match="ended in the middle of its work"):
                pool.call(die, 1)


def test_an_error_of_what_is_fetched_comes_at_its_place_and_little_is_taken_ahead():
    taken = []

    def items():
        for number in range(9):
            taken.append(number)
            yield number

    found = prefetch(fail_at_three, items(), threads=2)
    assert [next(found) for _ in range(3)] == [(0, 0), (1, 1), (2, 2)]
    assert taken == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="three is refused"):
        next(found)


def test_leaving_early_waits_for_nothing():
    release = threading.Event()
    found = prefetch(lambda number: number == 0 or release.wait(60), range(9), threads=2)
    assert next(found) == (0, True)
    start = time.monotonic()
    found.close()
    assert time.monotonic() - start < 30
    release.set()


def test_items_come_with_the_results_of_their_requests():
    with Pool(1) as pool:
        things = [object() for _ in range(7)]
        pairs = list(pool.map_with_items(square, things, request=things.index))
    assert pairs == [(thing, index**2) for index, thing in enumerate(things)]


def test_a_negative_number_of_workers_is_refused():
    with pytest.raises(ValueError, match="expected 0 or more worker processes, got -1"):
        Pool(-1)


def test_the_default_leaves_a_core_to_the_networks(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 128)  # of which the process may use some
    for allowed, workers in ((1, 1), (2, 1), (4, 3), (64, 8)):
        monkeypatch.setattr(
            os, "sched_getaffinity", lambda _, some=allowed: set(range(some)), raising=False
        )
        assert default_count() == workers


def test_the_default_counts_all_cores_where_the_system_cannot_say_which_are_allowed(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    for found, workers in ((4, 3), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda found=found: found)
        assert default_count() == workers


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_when_the_main_process_is_ended(end):
    code = (
        "from leela_probe.files import workers; import test_workers, time\n"
        "with workers.Pool(2) as pool:\n"
        "    for number in pool.map(test_workers.process_id, range(10)):\n"
        "        print(number, flush=True)\n"
        "    print('ready', flush=True)\n"
        "    list(pool.map(time.sleep, [1, 1, 1, 1, 60]))\n"
    )
    main = subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}\n{code}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with main:
        assert main.stdout is not None
        seen = set()
        for line in main.stdout:
            if line == "ready\n":
                break
            seen.add(int(line))
        workers = seen - {main.pid}
        assert workers
        main.send_signal(end)
        main.wait(10)
    deadline = time.monotonic() + 10
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_alive, workers))


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    try:  # an ended process that nobody has asked after still has a number
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
