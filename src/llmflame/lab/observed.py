"""What a trial told, as rows of the experiment's file."""

from __future__ import annotations

from llmflame.lab.processes import Ran
from llmflame.lab.trial import Reading, TrialResult
from llmflame.store.lab_rows import LabRequestRow, LabRow, Purpose, TrialRow


def trial_row(
    row: LabRow, number: int, purpose: Purpose, count: int, ran: Ran, same_tokens: bool | None
) -> TrialRow:
    """One trial; `number` is its round, `count` how many trials came before it."""
    result, after = ran.result, _after(ran.result)
    return TrialRow(
        row=row.row,
        batch=row.batch,
        round=number,
        purpose=purpose,
        number=count,
        outcome=result.outcome,
        reason=result.reason or None,
        wall_ns=ran.wall_ns,
        load_ns=result.load_ns,
        first_request_ns=result.warmup_ns[0] if result.warmup_ns else None,
        recompilations=result.recompilations,
        weight_bytes=result.weight_bytes,
        step_bytes=result.step_bytes,
        step_flop=result.step_flop,
        peak_host_bytes=result.peak_host_bytes,
        peak_device_bytes=result.peak_device_bytes,
        energy_joule=result.energy_joule,
        energy_source=result.energy_source,
        clock_mhz=after.clock_mhz if after else None,
        temperature_celsius=after.temperature_celsius if after else None,
        throttled=(after.throttled or None) if after else None,
        same_tokens=same_tokens,
    )


def request_rows(row: LabRow, number: int, result: TrialResult) -> list[LabRequestRow]:
    """Its measured requests."""
    return [
        LabRequestRow(
            row.row,
            row.batch,
            number,
            count,
            request.ttft_ns,
            sum(request.step_ns),
            len(request.step_ns),
            request.wall_ns,
        )
        for count, request in enumerate(result.requests)
    ]


def _after(result: TrialResult) -> Reading | None:
    return next((one for one in reversed(result.readings) if one.when == "after"), None)
