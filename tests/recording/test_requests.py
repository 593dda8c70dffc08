"""One request on a pipeline: its prompt, its options and its marks, with everything put back."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from llmflame.errors import UsageError
from llmflame.probes.sections import RequestProbe
from llmflame.recording.requests import (
    generation_defaults,
    marked_pipeline,
    pipeline_call,
    prompt_of,
)
from llmflame.recording.workload import Workload


class Tokenizer:
    """Turns a text into tokens with any function."""

    def __init__(self, tokens: Callable[[str], list[Any]]) -> None:
        self._tokens = tokens
        self.asked = 0

    def __call__(self, text: str) -> dict[str, list[Any]]:
        self.asked += 1
        return {"input_ids": self._tokens(text)}


def words(text: str) -> list[Any]:
    return text.split()


def words_after_bos(text: str) -> list[Any]:
    return ["<s>", *text.split()]


def characters(text: str) -> list[Any]:
    return list(text)


def characters_after_bos(text: str) -> list[Any]:
    return ["<s>", *text]


def pairs(text: str) -> list[Any]:
    """Every two letters of a word are a token, like a vocabulary of short pieces."""
    return [word[i : i + 2] for word in text.split() for i in range(0, len(word), 2)]


@pytest.mark.parametrize("wanted", [*range(2, 40), 100, 511, 512, 1000])
@pytest.mark.parametrize("tokens", [words, words_after_bos, characters, characters_after_bos, pairs])
def test_a_prompt_of_exactly_so_many_tokens(tokens: Callable[[str], list[Any]], wanted: int) -> None:
    tokenizer = Tokenizer(tokens)
    text, count = prompt_of(tokenizer, Workload(prompt_tokens=wanted))
    assert count == wanted == len(tokens(text))
    assert tokenizer.asked < 200, "a long prompt is found by halving, not token by token"


@pytest.mark.parametrize("tokens", [words, characters, pairs])
def test_a_prompt_of_one_token(tokens: Callable[[str], list[Any]]) -> None:
    text, _ = prompt_of(Tokenizer(tokens), Workload(prompt_tokens=1))
    assert len(tokens(text)) == 1


@pytest.mark.parametrize("tokens", [words_after_bos, characters_after_bos])
def test_an_empty_text_is_no_prompt_of_one_token(tokens: Callable[[str], list[Any]]) -> None:
    with pytest.raises(UsageError, match="exactly 1 tokens"):
        prompt_of(Tokenizer(tokens), Workload(prompt_tokens=1))


def test_it_is_the_same_text_each_time() -> None:
    work = Workload(prompt_tokens=77)
    assert prompt_of(Tokenizer(pairs), work) == prompt_of(Tokenizer(pairs), work)


@pytest.mark.parametrize("tokens", [lambda text: [*text.split()] * 2, lambda _text: [1, 2], lambda _text: []])
def test_a_length_that_no_text_has_is_refused(tokens: Callable[[str], list[Any]]) -> None:
    with pytest.raises(UsageError) as caught:
        prompt_of(Tokenizer(tokens), Workload(prompt_tokens=7))
    assert "7 tokens" in str(caught.value) and "\n" not in str(caught.value)


def test_a_text_is_taken_as_it_is() -> None:
    assert prompt_of(Tokenizer(words), Workload(prompt="one  two three")) == ("one  two three", 3)


@pytest.mark.parametrize("prompt", [" ", "\n", None])
def test_a_prompt_without_a_token_is_refused(prompt: str | None) -> None:
    with pytest.raises(UsageError, match="no token"):
        prompt_of(Tokenizer(words), Workload(prompt=prompt))


# --- the model's generation defaults ---------------------------------------------------------------------

DEFAULTS = {
    "do_sample": True,
    "max_length": 20,
    "eos_token_id": [5, 6],
    "pad_token_id": None,
    "temperature": 0.6,
    "top_p": 0.9,
    "top_k": 50,
    "min_p": None,
    "typical_p": 1.0,
    "repetition_penalty": 1.3,
}


def _model(**changed: Any) -> Any:
    return SimpleNamespace(generation_config=SimpleNamespace(**(copy.deepcopy(DEFAULTS) | changed)))


@pytest.mark.parametrize("sample", [False, True])
@pytest.mark.parametrize("stop_at_eos", [False, True])
@pytest.mark.parametrize("pad", [None, 9])
def test_defaults_are_put_back(sample: bool, stop_at_eos: bool, pad: int | None) -> None:
    model = _model(pad_token_id=pad)
    before = copy.deepcopy(vars(model.generation_config))
    work = Workload(sample=sample, stop_at_eos=stop_at_eos)
    with generation_defaults(model, work):
        config = model.generation_config
        assert config.do_sample is sample
        assert config.eos_token_id == ([5, 6] if stop_at_eos else None)
        assert config.pad_token_id == (5 if pad is None else 9)
        assert config.max_length is None
        assert (config.temperature, config.top_p, config.top_k) == (
            (0.6, 0.9, 50) if sample else (None, None, None)
        )
        assert config.repetition_penalty == 1.3
    assert vars(model.generation_config) == before


def test_defaults_are_put_back_after_an_exception() -> None:
    model = _model()
    with pytest.raises(ArithmeticError), generation_defaults(model, Workload()):
        raise ArithmeticError
    assert vars(model.generation_config) == DEFAULTS


@pytest.mark.parametrize(("eos", "pad"), [([7, 8], 7), (7, 7), (None, 0)])
def test_padding_is_the_end_token_where_there_is_none(eos: Any, pad: int) -> None:
    model = _model(eos_token_id=eos)
    with generation_defaults(model, Workload()):
        assert model.generation_config.pad_token_id == pad


# --- a pipeline ------------------------------------------------------------------------------------------


class Log:
    def __init__(self) -> None:
        self.entered: list[str] = []

    def enter(self, name: str, _index: int | None = None) -> None:
        self.entered.append(name)


class Pipeline:
    """What `transformers` documents of one: `__call__` calls `_forward`."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.given: Any = ()
        self.options: dict[str, Any] = {}
        self.fails = False

    def __call__(self, *given: Any, **options: Any) -> Any:
        self.given, self.options = given, options
        return [self._forward({"x": 1}, key="value")]

    def _forward(self, inputs: Any, **options: Any) -> Any:
        self.log.entered.append("generate")
        if self.fails:
            raise ArithmeticError("no")
        return inputs, options


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline(Log())


def _marked(pipeline: Pipeline) -> Any:
    return marked_pipeline(pipeline, cast("RequestProbe", pipeline.log))


def test_a_pipelines_generation_is_marked_and_unchanged(pipeline: Pipeline) -> None:
    with _marked(pipeline):
        assert pipeline("text") == [({"x": 1}, {"key": "value"})]
    assert pipeline.log.entered == ["prepare", "generate", "detokenize"]
    assert "_forward" not in vars(pipeline)
    pipeline("text")
    assert pipeline.log.entered[3:] == ["generate"]


def test_the_marks_are_undone_after_an_exception(pipeline: Pipeline) -> None:
    pipeline.fails = True
    with pytest.raises(ArithmeticError, match=r"^no$"), _marked(pipeline):
        pipeline("text")
    assert pipeline.log.entered == ["prepare", "generate", "detokenize"]
    assert "_forward" not in vars(pipeline)


def test_a_forward_of_the_persons_own_is_put_back(pipeline: Pipeline) -> None:
    def mine(*_args: Any, **_options: Any) -> str:
        return "mine"

    pipeline._forward = mine  # type: ignore[method-assign]
    with _marked(pipeline):
        assert pipeline("text") == ["mine"]
    assert pipeline._forward is mine
    assert pipeline.log.entered == ["prepare", "detokenize"]


def test_one_prompt_is_given_alone_and_several_as_a_batch(pipeline: Pipeline) -> None:
    pipeline_call(pipeline, ["a"], Workload())(9)
    assert pipeline.given == ("a",)
    assert pipeline.options == {
        "max_new_tokens": 9,
        "do_sample": False,
        "return_full_text": False,
        "eos_token_id": None,
    }
    pipeline_call(pipeline, ["a", "b"], Workload(sample=True, stop_at_eos=True))(9)
    assert pipeline.given == (["a", "b"],)
    assert pipeline.options == {
        "max_new_tokens": 9,
        "do_sample": True,
        "return_full_text": False,
        "batch_size": 2,
    }
