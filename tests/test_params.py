"""params.yaml: unknown keys, bad values and missing sections are one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from graded import params
from graded.errors import MissingError, ParamError


class Inner(params.Section):
    size: int = Field(default=1, gt=0)


class Params(params.Section):
    inner: Inner = Inner()
    name: str


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_yaml_is_read_as_dvc_writes_it(tmp_path: Path) -> None:
    path = write(
        tmp_path, "languages: [fi, no]\nseed: 10\ntrain: {rate: 1e-06, on: true, off: 'true', at: 2020-01-01}\n"
    )
    assert params.languages(path) == ["fi", "no"]
    assert params.load(path)["train"] == {"rate": 1e-06, "on": True, "off": "true", "at": "2020-01-01"}


def test_a_section_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "pair: {name: x, inner: {size: 3}}\nlanguages: [fi, 'no']\nseed: 3\n")
    assert params.section("pair", Params, path) == Params(name="x", inner=Inner(size=3))
    assert params.languages(path) == ["fi", "no"]
    assert params.seed(path) == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "pair: {name: x, inner: {sise: 3}}",
            r"no stage reads pair\.inner\.sise: .*did you mean 'size'",
        ),
        ("pair: {nam: x}", "pair.name is missing|no stage reads pair.nam"),
        ("pair: {name: x, inner: {size: 0}}", r"pair\.inner\.size: received 0"),
        ("pear: {}", r"no stage reads this key: received 'pear' \(did you mean 'pair'"),
        ("train: {}", "section 'pair' is missing"),
        ("- 1", "received list"),
        ("a: [", "not YAML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ParamError, match=says) as error:
        params.section("pair", Params, write(tmp_path, text))
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    path.write_bytes(b"languages: [f\xe4]\n")
    with pytest.raises(ParamError, match=r"is not YAML: 'utf-8' codec can't decode byte 0xe4"):
        params.load(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="run this inside a graded repository"):
        params.load(tmp_path / "params.yaml")


@pytest.mark.parametrize("text", ["languages: []", "languages: fi", "languages: [fi, fi]", "languages: ['../x']"])
def test_bad_languages(tmp_path: Path, text: str) -> None:
    with pytest.raises(ParamError, match="languages"):
        params.languages(write(tmp_path, text))


@pytest.mark.parametrize("text", ["seed: -1", "seed: true", "seed: x", "{}"])
def test_bad_seeds(tmp_path: Path, text: str) -> None:
    with pytest.raises(ParamError, match="seed"):
        params.seed(write(tmp_path, text))
