"""The page about operations names what there is: metrics with their labels, alerts that can be evaluated, reasons."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml
from prometheus_client.parser import text_string_to_metric_families

from hanse.api.metrics import Metrics
from hanse.model import Key, NotYet, Reason, Step, Tenant
from hanse.reconcile.news import Settled, Stepped
from hanse.service import waiting
from hanse.service.serve import Serving
from service.test_http import answering, bare, has, push, pushed
from service.test_http import github as signed
from service.world import World

__all__ = ["bare"]
PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
RULES = next(text for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if text.startswith("groups:"))


def metrics(text: str) -> dict[str, Any]:
    """By name, what /metrics answers."""
    return {family.name: family for family in text_string_to_metric_families(text)}


def selectors(found: Any) -> list[Any]:
    """All that an expression asks for."""
    if isinstance(found, promql.VectorSelector):
        return [found]
    if isinstance(found, promql.MatrixSelector):
        return [found.vector_selector]
    parts = [getattr(found, name, None) for name in ("lhs", "rhs", "expr", "param")]
    inner = [part for part in (*parts, *(getattr(found, "args", None) or ())) if part is not None]
    return [one for part in inner for one in selectors(part)]


async def test_the_page_and_the_alerts_name_metrics_that_there_are_with_their_labels(bare: World) -> None:
    async with answering(bare) as serve:
        await pushed(serve)
        await serve.send("github", push(), signed(push()))
        await serve.until(has(bare, "u-4"), 5)
        _, text = await serve.get("/metrics")
    families = {name: one for name, one in metrics(text).items() if name.startswith("hanse_")}
    assert len(families) > 20
    for name, family in families.items():
        assert family.documentation.endswith("."), f"{name} has no HELP that is a sentence"
        assert family.type in ("counter", "gauge", "histogram"), name
        assert not name.endswith("_total"), name
        assert (family.type == "histogram") <= name.endswith("_seconds"), f"{name} has no unit"
    samples = {f"{name}_total" if family.type == "counter" else name for name, family in families.items()}
    told = set(re.findall(r"`(hanse_\w+)`", PAGE.partition("## Metrics")[2].partition("## What to watch")[0]))
    assert told == samples
    samples |= {f"{name}_{end}" for name in families for end in ("bucket", "sum", "count")}
    labels: dict[str, set[str]] = {}
    for family in families.values():
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    [group] = yaml.safe_load(RULES)["groups"]
    assert len(group["rules"]) > 8
    for rule in group["rules"]:
        asked = selectors(promql.parse(rule["expr"]))
        assert asked, rule["alert"]
        for one in asked:
            assert one.name in samples, f"{rule['alert']} asks for {one.name}"
            wanted = {matcher.name for matcher in one.matchers.matchers}
            if one.name in labels:
                assert wanted <= labels[one.name], f"{rule['alert']}: {one.name} has no {wanted}"
        assert rule["annotations"]["summary"]


async def test_an_alert_hears_of_the_first_event_too(bare: World) -> None:
    """The increase of a counter that was not there before is none."""
    async with answering(bare) as serve:
        _, text = await serve.get("/metrics")
    samples = [sample for family in metrics(text).values() for sample in family.samples]
    asking = 0
    for rule in yaml.safe_load(RULES)["groups"][0]["rules"]:
        if "increase(" not in rule["expr"] or " offset " in rule["expr"]:
            continue
        for one in selectors(promql.parse(rule["expr"])):
            wanted = {matcher.name: matcher.value for matcher in one.matchers.matchers}
            found = [s for s in samples if s.name == one.name and wanted.items() <= s.labels.items()]
            assert found, f"{rule['alert']} misses the first of {one.name} {wanted}"
            asking += 1
    assert asking >= 3


async def test_drift_that_somebody_else_put_back_is_not_open_for_ever(bare: World) -> None:
    async with bare.open() as estate:
        counted = Metrics(estate, Serving(estate, lambda _: None))
        key, owner = Key("example", "shop", "web", "group/admin/member/u-9"), Tenant("north", "shop", "web")
        step = Step("delete", "membership", key, owner, "", {}, {}, (), Reason("local-change"))
        for _ in range(2):
            counted.heard(Stepped(step, NotYet(1, "it is locked"), "p-1"))
        counted.heard(Settled("p-2", step.owner, 3.0))
        families = metrics((await counted.text()).decode())
    totals = [families[f"hanse_drift_{name}"].samples[0].value for name in ("found", "undone")]
    assert totals == [1, 1]


def test_each_reason_that_the_code_gives_is_on_the_page() -> None:
    """The codes of remarks are many; the page has those that it says more of."""
    source = Path(waiting.__file__).read_text()
    noting = (Path(waiting.__file__).parents[1] / "reconcile" / "noting.py").read_text()
    codes = set(re.findall(r'Reason\(\s*"([a-z-]+)"', source)) | set(
        re.findall(r'_Waits\("([a-z-]+)"', noting)
    )
    assert len(codes) > 8
    page = PAGE.partition("## Why an owner waits")[2].partition("## Traces")[0]
    missing = {code for code in codes if f"`{code}`" not in page}
    assert not missing
    for code in ("not-yet", "refused", "unsure", "fight", "unknown-user", "deletion-waits", "not-empty"):
        assert f"`{code}`" in page
