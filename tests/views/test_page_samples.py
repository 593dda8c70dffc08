"""Made-up profiles for the page: one like that of a small Llama, and random trees of any size."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from llmflame.analysis.tree import Tree
from llmflame.store.model import Frame, FrameKind, Metric, Origin

LAYERS = 30
GENERATION = "/usr/lib/python3/site-packages/transformers/generation/utils.py"
LLAMA = "/usr/lib/python3/site-packages/transformers/models/llama/modeling_llama.py"
MODULES = "/usr/lib/python3/site-packages/torch/nn/modules/module.py"

METRICS = [
    Metric("wall_ns", "ns", "sum", "Wall time"),
    Metric("on_cpu_ns", "ns", "sum", "CPU time"),
    Metric("device_ns", "ns", "sum", "Device time"),
    Metric("alloc_bytes", "bytes", "sum", "Bytes allocated"),
    Metric("freed_bytes", "bytes", "sum", "Bytes freed"),
    Metric("calls", "count", "sum", "Calls"),
]


@dataclass
class Grower:
    """Grows a tree in pre-order."""

    seed: int = 7
    tree: Tree = field(
        default_factory=lambda: Tree(metrics=list(METRICS), selfs={m.name: [] for m in METRICS})
    )
    frames: dict[Frame, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def add(
        self, parent: int, frame: Frame, ms: float = 0.0, *, origin: Origin = "scaled", **own: float
    ) -> int:
        """A node with its own wall time and, by name, its own share of other metrics."""
        tree = self.tree
        index = self.frames.setdefault(frame, len(self.frames))
        if index == len(tree.frames):
            tree.frames.append(frame)
        tree.parents.append(parent)
        tree.node_frames.append(index)
        tree.origins.append(origin)
        wall = ms * 1e6 * self.random.uniform(0.8, 1.2)
        values = {"wall_ns": wall, "on_cpu_ns": wall * self.random.uniform(0.7, 1.0), "calls": 1.0, **own}
        for name, column in tree.selfs.items():
            column.append(values.get(name, 0.0))
        return len(tree.parents) - 1

    def python(self, parent: int, name: str, file: str, line: int, ms: float = 0.02) -> int:
        return self.add(parent, Frame("python", name, file, line), ms)

    def op(self, parent: int, name: str, ms: float, alloc: int = 0, calls: int = 1) -> int:
        frame = Frame("op", name)
        return self.add(
            parent, frame, ms, alloc_bytes=float(alloc), freed_bytes=alloc * 0.9, calls=float(calls)
        )

    def linear(self, parent: int, path: str, ms: float, alloc: int) -> None:
        module = self.add(parent, Frame("module", "Linear", MODULES, 1775, path), 0.03)
        forward = self.python(
            module, "Linear.forward", "/usr/lib/python3/site-packages/torch/nn/modules/linear.py", 124
        )
        call = self.add(forward, Frame("builtin", "torch._C._nn.linear"), 0.01)
        linear = self.op(call, "aten::linear", ms * 0.02)
        self.op(linear, "aten::t", ms * 0.03)
        self.op(linear, "aten::mm", ms * 0.95, alloc)

    def norm(self, parent: int, path: str, scale: float) -> None:
        module = self.add(parent, Frame("module", "LlamaRMSNorm", LLAMA, 62, path), 0.02)
        forward = self.python(module, "LlamaRMSNorm.forward", LLAMA, 71)
        for name, share in (
            ("aten::pow", 0.2),
            ("aten::mean", 0.2),
            ("aten::rsqrt", 0.1),
            ("aten::mul", 0.5),
        ):
            self.op(forward, name, 0.4 * scale * share, 2_048)

    def layer(self, parent: int, index: int, scale: float) -> None:
        path = f"model.layers.{index}"
        layer = self.add(parent, Frame("module", "LlamaDecoderLayer", LLAMA, 290, path), 0.05)
        forward = self.python(layer, "LlamaDecoderLayer.forward", LLAMA, 305)
        self.norm(forward, f"{path}.input_layernorm", scale)
        attention = self.add(
            forward, Frame("module", "LlamaAttention", LLAMA, 210, f"{path}.self_attn"), 0.05
        )
        inner = self.python(attention, "LlamaAttention.forward", LLAMA, 231)
        for name, part in (("q_proj", 1.0), ("k_proj", 0.3), ("v_proj", 0.3)):
            self.linear(inner, f"{path}.self_attn.{name}", part * scale, 18_432)
        rotary = self.python(inner, "apply_rotary_pos_emb", LLAMA, 140)
        for name in ("aten::mul", "aten::neg", "aten::cat", "aten::add"):
            self.op(rotary, name, 0.05 * scale, 4_608, calls=2)
        cache = self.python(
            inner, "DynamicCache.update", "/usr/lib/python3/site-packages/transformers/cache_utils.py", 420
        )
        self.op(cache, "aten::cat", 0.35 * scale, 294_912, calls=2)
        attend = self.python(
            inner,
            "sdpa_attention_forward",
            "/usr/lib/python3/site-packages/transformers/integrations/sdpa_attention.py",
            40,
        )
        dot = self.op(attend, "aten::scaled_dot_product_attention", 0.05 * scale)
        self.op(dot, "aten::_scaled_dot_product_flash_attention_for_cpu", 0.9 * scale, 9_216)
        self.linear(inner, f"{path}.self_attn.o_proj", scale, 9_216)
        self.norm(forward, f"{path}.post_attention_layernorm", scale)
        mlp = self.add(forward, Frame("module", "LlamaMLP", LLAMA, 165, f"{path}.mlp"), 0.04)
        inner = self.python(mlp, "LlamaMLP.forward", LLAMA, 178)
        for name in ("gate_proj", "up_proj", "down_proj"):
            self.linear(inner, f"{path}.mlp.{name}", 2.6 * scale, 49_152)
        silu = self.add(inner, Frame("module", "SiLU", MODULES, 1775, f"{path}.mlp.act_fn"), 0.02)
        self.op(silu, "aten::silu", 0.3 * scale, 24_576)

    def forward(self, parent: int, scale: float) -> None:
        call = self.python(parent, "Module._wrapped_call_impl", MODULES, 1773)
        model = self.add(call, Frame("module", "LlamaForCausalLM", LLAMA, 420, ""), 0.3)
        inner = self.python(model, "LlamaForCausalLM.forward", LLAMA, 445, 0.4)
        body = self.add(inner, Frame("module", "LlamaModel", LLAMA, 330, "model"), 0.2)
        run = self.python(body, "LlamaModel.forward", LLAMA, 356, 0.5)
        self.op(
            self.add(run, Frame("module", "Embedding", MODULES, 1775, "model.embed_tokens")),
            "aten::embedding",
            0.1,
            9_216,
        )
        for index in range(LAYERS):
            self.layer(run, index, scale)
        self.norm(run, "model.norm", scale)
        self.linear(inner, "lm_head", 14 * scale, 196_608)


def llama(seed: int = 7) -> Tree:
    """A run of a small Llama on a CPU: nine phases, thirty layers, some seven thousand nodes."""
    grow = Grower(seed)

    def phase(name: str) -> int:
        return grow.add(0, Frame("phase", name), 0.4, origin="measured")

    def rest(parent: int, ms: float) -> None:
        grow.add(parent, Frame("other", "unattributed"), ms, origin="computed", calls=0.0)

    grow.add(-1, Frame("run", "run"), origin="measured")
    rest(phase("startup"), 60)
    _imports(grow, phase("import"), depth=0, ms=1_900)
    _load(grow, phase("load"))
    rest(phase("warmup"), 120)
    tokenize = phase("tokenize")
    encode = grow.python(
        tokenize,
        "PreTrainedTokenizerFast.__call__",
        "/usr/lib/python3/site-packages/transformers/tokenization_utils_fast.py",
        530,
    )
    grow.add(encode, Frame("builtin", "tokenizers.Tokenizer.encode_batch"), 3.0)
    prepare = grow.python(phase("prepare"), "GenerationMixin._prepare_generation_config", GENERATION, 1700, 6)
    grow.add(prepare, Frame("builtin", "copy.deepcopy"), 4)
    for name, scale, note in (("prefill", 4.0, 9.0), ("decode", 7.5, 110.0)):
        top = phase(name)
        generate = grow.python(top, "GenerationMixin.generate", GENERATION, 2460, 1.1)
        sample = grow.python(generate, "GenerationMixin._sample", GENERATION, 2760, 3)
        grow.forward(sample, scale)
        stop = grow.python(sample, "GenerationMixin._has_unfinished_sequences", GENERATION, 2310, 0.6)
        grow.op(stop, "aten::item", note * 0.8, calls=64)
        inputs = grow.python(sample, "GenerationMixin.prepare_inputs_for_generation", GENERATION, 560, 1.4)
        grow.op(inputs, "aten::clone", note * 0.1, 4_096)
        rest(top, note * 0.5)
    decode = grow.python(
        phase("detokenize"),
        "PreTrainedTokenizerBase.decode",
        "/usr/lib/python3/site-packages/transformers/tokenization_utils_base.py",
        3900,
    )
    grow.add(decode, Frame("builtin", "tokenizers.Tokenizer.decode"), 1.2)
    return grow.tree


def _imports(grow: Grower, parent: int, depth: int, ms: float) -> None:
    load = grow.python(parent, "_find_and_load", "<frozen importlib._bootstrap>", 1349 + depth, ms * 0.05)
    if depth > 9 or ms < 4:
        grow.add(load, Frame("builtin", "exec"), ms * 0.9, origin="sampled")
        return
    left = ms * 0.95
    for part in range(5):
        take = left * grow.random.uniform(0.2, 0.7)
        name = f"<module>_{depth}_{part}"
        run = grow.python(
            load, name, f"/usr/lib/python3/site-packages/torch/part_{depth}_{part}.py", 1, take * 0.1
        )
        _imports(grow, run, depth + 1, take * 0.9)
        left -= take


def _load(grow: Grower, parent: int) -> None:
    utils = "/usr/lib/python3/site-packages/transformers/modeling_utils.py"
    load = grow.python(parent, "PreTrainedModel.from_pretrained", utils, 4100, 14)
    init = grow.python(load, "LlamaForCausalLM.__init__", LLAMA, 425, 60)
    for index in range(LAYERS):
        layer = grow.add(init, Frame("module", "LlamaDecoderLayer", LLAMA, 290, f"model.layers.{index}"), 1.5)
        grow.op(layer, "aten::empty", 0.6, 14_155_776, calls=9)
    weights = grow.python(load, "PreTrainedModel._load_pretrained_model", utils, 4620, 20)
    thread = grow.add(weights, Frame("thread", "ThreadPoolExecutor-0"), 2)
    for index in range(LAYERS):
        copy = grow.python(thread, f"materialize model.layers.{index}", utils, 4700, 0.4)
        grow.op(copy, "aten::copy_", 18, 28_311_552, calls=9)
    grow.add(weights, Frame("builtin", "safetensors.safe_open"), 90, origin="sampled")


def summary(tree: Tree) -> dict[str, object]:
    """A summary that fits the made-up run."""
    totals = tree.totals("wall_ns") if tree.selfs else []
    peaks = {"startup": 40e6, "import": 310e6, "load": 690e6, "prefill": 812e6, "decode": 834e6}
    phases = []
    for node in range(1, len(tree)):
        if tree.parents[node] == 0 and tree.frame(node).kind == "phase":
            name = tree.frame(node).name
            phases.append(
                {
                    "name": name,
                    "wall_s": totals[node] / 1e9,
                    "share": totals[node] / totals[0],
                    "host_peak_bytes": peaks.get(name, 820e6),
                    "device_peak_bytes": None,
                }
            )
    return {
        "schema": 1,
        "status": "complete",
        "reason": None,
        "machine": {
            "cpu": "AMD EPYC 9B14",
            "cores": 2,
            "ram_bytes": 8_321_499_136,
            "gpu": None,
            "os": "Debian GNU/Linux 12",
            "python": "3.11.7",
            "torch": "2.9.1+cpu",
            "transformers": "5.0.0",
        },
        "subject": {
            "model": "HuggingFaceTB/SmolLM2-135M-Instruct",
            "architecture": "LlamaForCausalLM",
            "parameters": 134_515_008,
            "dtype": "bfloat16",
            "device": "cpu",
            "prompt_tokens": 128,
            "new_tokens": 64,
            "batch_size": 1,
        },
        "phases": phases,
        "latency": {
            "ttft_ms": 1_480.4,
            "tpot_ms": {"median": 42.31, "p10": 40.9, "p90": 47.2, "n": 63},
            "e2e_ms": 4_180.0,
            "tokens_per_s": 23.6,
            "load_s": 0.81,
            "import_s": 1.9,
        },
        "coverage": {"wall": 0.973, "bytes": 0.911},
        "cost": {"clean": 0.002, "anatomy": 0.44, "scale_factor": 1.12, "dropped": 0},
        "top": [],
    }


def random_tree(nodes: int, seed: int = 1) -> Tree:
    """A random tree in pre-order, at most forty deep, with the given number of nodes."""
    rng = random.Random(seed)
    kinds: list[FrameKind] = ["python", "module", "op", "builtin", "kernel"]
    tree = Tree(metrics=[METRICS[0], METRICS[3]], selfs={"wall_ns": [], "alloc_bytes": []})
    tree.frames = [Frame("run", "run")]
    tree.frames += [Frame(kinds[i % 5], f"frame_{i}", f"file_{i % 97}.py", i) for i in range(2_000)]
    path: list[int] = []
    for node in range(nodes):
        while len(path) > 1 and (len(path) >= 40 or rng.random() < 0.5):
            path.pop()
        tree.parents.append(path[-1] if path else -1)
        tree.node_frames.append(rng.randrange(1, 2_001) if node else 0)
        tree.selfs["wall_ns"].append(float(rng.randrange(1_000, 2_000_000)))
        tree.selfs["alloc_bytes"].append(float(rng.randrange(1, 10**6)) if rng.random() < 0.05 else 0.0)
        tree.origins.append("traced")
        path.append(node)
    return tree


def test_samples_are_in_pre_order() -> None:
    for tree in (llama(), random_tree(500)):
        assert all(parent < node for node, parent in enumerate(tree.parents))
        assert len(tree.origins) == len(tree.node_frames) == len(tree.parents)
