"""The workers of bench_step.py: each is one contender in a process of its own, which makes the updates it is told to.

`start`, `steps_of` and `stop` are for the parent. Contenders are imported inside functions: a worker's memory is that
of its contender and not of the others' libraries.
"""

import contextlib
import functools
import json
import os
import pathlib
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

WARM_UP, MATRIX = 3, 2048  # updates before the first round; side of the matrices for the machine's peak
Json = dict[str, Any]


def ours(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    schedule: str,
    blocks: int,
    classes: int,
    mean: list[float],
    std: list[float],
    total_steps: int,
    peak_value: float,
    momentum: float,
    seed: int,
    **rest: Any,
) -> tuple[int, Iterator[Any]]:
    """The number of parameters, and an iterator that makes one update per item and yields its loss, in the making."""
    import jax

    import lrsched as ls
    from lrsched.runs.run import values
    from lrsched.training import models, optim, train

    model = models.build(f"resnet{6 * blocks + 2}", classes=classes)
    optimizer = optim.Optimizer()
    shape: Any = images.shape[1:]
    state = train.initial_state(model, optimizer, image_shape=shape, seed=seed)
    onecycle = ls.onecycle(peak_value, total_steps=total_steps, variant="optax_cosine")
    updates = train.updates(
        state,
        model=model,
        optimizer=optimizer,
        data=train.put(images, labels, mean=mean, std=std, devices=jax.local_devices()[:1]),
        seed=seed,
        rates=values(
            ls.constant(peak_value, total_steps=total_steps) if schedule == "constant" else onecycle, total_steps
        ),
        momenta=np.full(total_steps, momentum, np.float32),
        **rest,
    )
    return sum(leaf.size for leaf in jax.tree.leaves(state.params)), (metrics.loss for _, metrics in updates)


def matmul(*_: Any, **__: Any) -> tuple[int, Iterator[Any]]:
    """No network: float32 products of square matrices, to measure what the machine can do."""
    import jax

    multiply = jax.jit(lambda a: (product := a @ a, product[0, 0]))
    matrix = jax.device_put(np.random.default_rng(0).random((MATRIX, MATRIX), np.float32))
    return 0, (multiply(matrix)[1] for _ in iter(int, 1))


def contender(name: str) -> Callable[..., tuple[int, Iterator[Any]]]:
    """Imports what `name` needs and returns what starts it."""
    if name.startswith("torch"):
        import bench_step_torch

        return functools.partial(bench_step_torch.contender, compiled=name == "torch_compile")
    if name == "flax":
        import bench_step_flax

        return bench_step_flax.contender
    from lrsched.training import devices

    devices.prepare()
    return matmul if name == "matmul" else functools.partial(ours, schedule=name.removeprefix("ours_"))


def worker(name: str, folder: str, work: Json) -> None:
    """Warms up, then makes as many updates as each line of stdin says; answers in lines of JSON."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer

    def answer(**words: Any) -> None:
        print(json.dumps(words), file=answers, flush=True)

    try:
        images, labels = (np.load(pathlib.Path(folder, f"{what}.npy")) for what in ("images", "labels"))
        make = contender(name)
        begun = time.perf_counter()
        parameters, losses = make(images, labels, **work)
        float(next(losses))
        seconds = time.perf_counter() - begun
        for _ in range(WARM_UP - 1):
            float(next(losses))
        answer(parameters=parameters, first_step_seconds=seconds, device=device(name))
        for line in sys.stdin:
            busy, used = machine_seconds(), time.process_time()
            begun, host = time.perf_counter(), 0.0
            for _ in range(int(line)):
                called = time.perf_counter()
                loss = next(losses)
                host += time.perf_counter() - called
            value = float(loss)  # waits
            seconds = time.perf_counter() - begun
            others = max(0.0, machine_seconds() - busy - (time.process_time() - used))
            answer(seconds=seconds, host_seconds=host, others_seconds=others, loss=value, peak_mib=peak_mib())
    except Exception as error:
        answer(error=f"{type(error).__name__}: {error}".splitlines()[0])


def device(name: str) -> Json:
    if name.startswith("torch"):
        import torch  # type: ignore[import-not-found]

        return {"platform": "gpu" if torch.cuda.is_available() else "cpu", "threads": torch.get_num_threads()}
    from lrsched.training import devices

    return devices.describe()


def machine_seconds() -> float:
    """CPU time that all processes and other machines' (steal) have used so far; 0 where that cannot be known."""
    with contextlib.suppress(OSError):
        user, nice, system, _, _, *rest = map(int, pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
        return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")
    return 0.0


def peak_mib() -> float:
    """Largest resident memory of this process. Linux's ru_maxrss may be that of the parent at the fork."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def start(name: str, folder: str, work: Json, environment: dict[str, str]) -> tuple[subprocess.Popen[str], Json]:
    """A worker, warmed up, and its first answer."""
    command = [sys.executable, __file__, name, folder, json.dumps(work)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, bufsize=1
    )
    return process, read(process)


def read(process: subprocess.Popen[str]) -> Json:
    assert process.stdout
    line = process.stdout.readline()
    return json.loads(line) if line else {"error": f"its process ended with code {process.wait()}"}


def steps_of(process: subprocess.Popen[str], count: int) -> Json:
    assert process.stdin
    print(count, file=process.stdin, flush=True)
    answer = read(process)
    if "error" in answer:
        raise RuntimeError(f"a contender stopped: {answer['error']}")
    time.sleep(0.05)  # threads that spin for a while after their work come to rest
    return answer


def stop(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()


if __name__ == "__main__":
    worker(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
