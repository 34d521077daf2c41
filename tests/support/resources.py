"""Compile the Triton kernels for every target and read how many registers they use, and how many bytes they spill.

`python -m tests.support.resources`, run from the root of the repository, writes bench/results/resources.md. All kernels
take half an hour to compile. So the table has a digest of each program, as Triton reads it before any target matters,
and only programs that have changed are compiled again.
"""

from __future__ import annotations

import functools
import hashlib
import re
import subprocess
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from .engines import Launch, stubbed

triton = pytest.importorskip("triton")

COMMAND = "python -m tests.support.resources"
TARGETS = {
    "sm_80": ("cuda", 80, 32),
    "sm_90": ("cuda", 90, 32),
    "sm_100": ("cuda", 100, 32),
    "gfx942": ("hip", "gfx942", 64),
}
TABLE = Path(__file__).parents[2] / "bench" / "results" / "resources.md"
POINTERS = {
    torch.float32: "*fp32",
    torch.float64: "*fp64",
    torch.int32: "*i32",
    torch.int64: "*i64",
    torch.int16: "*i16",
    torch.int8: "*i8",
    torch.uint8: "*u8",
}


class Resources(NamedTuple):
    """What a compiled kernel takes."""

    registers: int  # per thread
    shared: int  # bytes per block
    spilled: int  # bytes per thread


def launches() -> dict[str, Launch]:
    """Return the launches of forward and backward passes, by kernel, dtype and constants."""
    from gpuph.kernels import Place, Points, Pulls, Query, Scale, Spread, Tiling
    from gpuph.kernels import triton as engine

    with stubbed() as made:
        # The saddles of unions are those of h for maxima of T and for minima of V. Other launches of the same variants,
        # with words of another size, follow.
        for size, dims, top, intersection, dtype in (
            (64, (0, 1), True, False, torch.float32),
            (200, (1,), True, False, torch.float64),
        ):
            image = torch.empty((1, 400, 400), dtype=dtype, device="meta")
            tiling, query = Tiling((400, 400), (size, size), (64, 64), border=True), Query(dims, top, 0.0, 1089)
            engine.matched_persistence((image, image, None), tiling, query, intersection=intersection)
        for dims, top, dtype in (
            ((1,), True, torch.float32),
            ((0, 1), True, torch.float32),
            ((0, 1), False, torch.float32),
            ((1,), False, torch.float32),
            ((0, 1), True, torch.float64),
        ):
            x = torch.empty(16, 66, 66, dtype=dtype, device="meta")
            index, _, count = engine.persistence(x, Query(dims, top, 0.0, 1089)).pairs[0]
            engine.gather(x.flatten(1), index.flatten(1))
            engine.scatter(x.flatten(1)[:, :2178], index.flatten(1), 66 * 66)
            tiling = Tiling((128, 128), (64, 64), (64, 64), border=True)
            engine.scatter_slopes(torch.empty_like(index, dtype=dtype), index, count, x[:, 0, 0], tiling)
        # The tables of the reduction grow with the windows.
        for size, dims, top, dtype in (
            (34, (0, 1, 2), True, torch.float32),
            (34, (1,), True, torch.float32),
            (66, (1,), False, torch.float32),
            (66, (0, 1, 2), False, torch.float64),
            (98, (2, 0), True, torch.float64),
        ):
            volumes = torch.empty(8, size, size, size, dtype=dtype, device="meta")
            engine.persistence(volumes, Query(dims, top, 0.0, 9000))
        for dtype in (torch.float32, torch.float64):
            image, height, slopes = (
                torch.empty(shape, dtype=dtype, device="meta") for shape in ((1, 256, 256), (16, 64, 64), (16, 2))
            )
            for g in (height, slopes, None):
                tiling = Tiling((256, 256), (64, 64), (64, 64), border=True)
                engine.framed_persistence(image, image, g, tiling, Query((1,), True, 0.0, 1089))
            points = torch.empty(16, 3000, dtype=dtype, device="meta")
            count = torch.empty(16, dtype=torch.int64, device="meta")
            diagram = Points(points, points, count)
            for squared in (True, False):
                matched = engine.match(diagram, diagram, "auto", squared=squared)
                engine.cost(diagram, diagram, matched.partner_a, matched.partner_b, squared=squared)
                engine.matched_cost(diagram, diagram, "auto", squared=squared)
            for normalise in (False, True):
                pairs = torch.empty((16, 2, 1089), dtype=dtype, device="meta")
                pulls = Pulls(pairs, pairs, torch.empty((16, 2, 1089), dtype=torch.int64, device="meta"), count)
                rule = Spread(2, 1, True, 0, normalise)
                engine.spread_slopes(pulls, pairs[:, 0, 0], (image, image, height), tiling, rule)
        points = torch.empty(16, 1000, device="meta")
        diagram, pixels = Points(points, points, count), points.to(torch.int64)
        engine.match(diagram, diagram, "auto", squared=True, place=Place(pixels, pixels, (64, 64), (0.1, 0.1)))
        for shape, truncation in (((4, 512, 512), 20.0), ((4, 512, 512), 1e9), ((2, 32, 32, 32), 8.0)):
            mask = torch.empty(shape, dtype=torch.bool, device="meta")
            engine.distance_map(mask, Scale.of(truncation, [1.0] * (mask.dim() - 1)))
        for window in ((64, 64), (32, 32, 32)):
            engine.curve_pixels(torch.empty((2, *window), dtype=torch.bool, device="meta"), 3)
        for dtype in (torch.float32, torch.float64):
            for window in ((64, 64), (200, 200), (16, 16, 16), (34, 34, 34)):
                x = torch.empty((2, *window), dtype=dtype, device="meta")
                engine.skeleton(x, 0.1, (1,) if len(window) == 2 else (1, 2))
            for window in ((32, 32), (181, 182), (48, 48, 48)):
                cost = torch.empty((2, len(window), *window), dtype=dtype, device="meta")
                region = engine.regions(torch.empty((2, *window), dtype=torch.bool, device="meta"), 5)
                for same in (False, True):
                    engine.maximin(cost, region, same=same)
    by_variant = {}
    for launch in made:
        constants = {k: v for k, v in launch.arguments.items() if k in _constants(launch)}
        dtype = next(v.dtype for v in launch.arguments.values() if isinstance(v, torch.Tensor))
        # With words in place of stars, kernels follow another gradient.
        kinds = [launch.arguments[name].dtype for name in ("star", "squares") if name in launch.arguments]
        words = ["words"] if torch.int64 in kinds else []
        variant = ", ".join([str(dtype).removeprefix("torch."), *words, *(f"{k}={v}" for k, v in constants.items())])
        by_variant[f"{launch.stage} | {variant}"] = launch
    return by_variant


def _constants(launch: Launch) -> list[str]:
    return [param.name for param in launch.kernel.params if param.is_constexpr]


def _source(launch: Launch) -> Any:
    """Return the kernel of a launch with its constants, dtypes and alignments."""
    from triton.compiler import ASTSource

    constants = {(launch.kernel.arg_names.index(name),): launch.arguments[name] for name in _constants(launch)}
    signature, attributes = {}, {}
    for i, param in enumerate(launch.kernel.params):
        value = launch.arguments[param.name]
        if param.is_constexpr:
            signature[param.name] = "constexpr"
        elif isinstance(value, torch.Tensor):
            signature[param.name] = POINTERS[value.dtype]
            if not param.do_not_specialize_on_alignment:
                attributes[(i,)] = [["tt.divisibility", 16]]
        else:
            signature[param.name] = param.annotation_type or "i32"
    return ASTSource(launch.kernel, signature, constants, attributes)


def program(launch: Launch) -> str:
    """Return a digest of the program of a launch, without the names of files and numbers of lines."""
    from triton._C.libtriton import ir
    from triton.backends.compiler import GPUTarget
    from triton.compiler import make_backend

    target, source, context = GPUTarget(*TARGETS["sm_90"]), _source(launch), ir.context()
    backend = make_backend(target)
    options = backend.parse_options(dict(launch.options))
    ir.load_dialects(context)
    backend.load_dialects(context)
    functions = backend.get_codegen_implementation(options), backend.get_module_map()
    text = source.make_ir(target, options, *functions, context).str_nodebug()
    return hashlib.sha256(f"{sorted(launch.options.items())}\n{text}".encode()).hexdigest()[:12]


@functools.cache
def programs() -> dict[tuple[str, str], Launch]:
    """Return the launches by variant and program."""
    return {(variant, program(launch)): launch for variant, launch in launches().items()}


def compile_for(launch: Launch, target: str) -> Any:
    """Compile the kernel of a launch."""
    from triton.backends.compiler import GPUTarget

    return triton.compile(_source(launch), target=GPUTarget(*TARGETS[target]), options=launch.options)


def resources(compiled: Any, target: str) -> Resources:
    """Return the registers, bytes of shared memory and bytes spilled of a compiled kernel."""
    shared = compiled.metadata.shared
    if target.startswith("gfx"):
        text = compiled.asm["amdgcn"]
        return Resources(
            int(re.search(r"\.vgpr_count:\s+(\d+)", text)[1]),
            shared,
            4 * int(re.search(r"\.vgpr_spill_count:\s+(\d+)", text)[1]),
        )
    from triton.backends import nvidia

    tool = Path(nvidia.__file__).parent / "bin" / "cuobjdump"
    cubin = Path(compiled.metadata_group[f"{compiled.metadata.name}.cubin"])
    words = [tool, "--dump-resource-usage", cubin]
    text = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
    usage = dict(re.findall(r"(REG|STACK|LOCAL):(\d+)", text))
    return Resources(int(usage["REG"]), shared, int(usage["STACK"]) + int(usage["LOCAL"]))


def recorded() -> dict[tuple[str, str], dict[str, Resources]]:
    """Read resources by variant and program, and then by target; none if another version of Triton wrote them."""
    found: dict[tuple[str, str], dict[str, Resources]] = {}
    if not TABLE.exists() or f"Triton {triton.__version__} " not in TABLE.read_text():
        return found
    for line in TABLE.read_text().splitlines():
        cells = line.strip("| ").split(" | ")
        if len(cells) == 4 + len(TARGETS) and " / " in cells[-1]:
            stage, constants, _, digest, *numbers = cells
            each = [Resources(*map(int, cell.split(" / "))) for cell in numbers]
            found[f"{stage} | {constants}", digest] = dict(zip(TARGETS, each, strict=True))
    return found


def missing(target: str) -> dict[tuple[str, str], Resources]:
    """Return the resources, by variant and program, of programs that the table has not."""
    known = recorded()
    todo = {key: launch for key, launch in programs().items() if key not in known}
    return {key: resources(compile_for(launch, target), target) for key, launch in todo.items()}


def table() -> str:
    """Return the table of the resources of all kernels on all targets, in Markdown."""
    known = recorded()
    with ProcessPoolExecutor() as pool:
        new = dict(zip(TARGETS, pool.map(missing, TARGETS), strict=True))
    lines = [
        "# Registers, shared memory and spills",
        "",
        f"Per thread and, for shared memory, per block, in bytes, as Triton {triton.__version__} compiles them; other",
        f"versions bring other compilers. Written by `{COMMAND}`, which compiles the programs that have",
        "changed: the table has a digest of each.",
        "",
        "| kernel | constants | warps | program | " + " | ".join(TARGETS) + " |",
        "|---|---|---|---|" + "---|" * len(TARGETS),
    ]
    for key, launch in programs().items():
        (variant, digest), found = key, known.get(key) or {target: new[target][key] for target in TARGETS}
        cells = [" / ".join(map(str, found[target])) for target in TARGETS]
        lines.append(f"| {variant} | {launch.options['num_warps']} | {digest} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TABLE.write_text(table())
