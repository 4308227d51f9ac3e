# SPDX-License-Identifier: Apache-2.0
"""Event files as TensorBoard writes and reads them, for src/train/event-file.ts.

fixture: writes test/fixtures/train/tensorboard.tfevents with TensorBoard's own protobufs.
check RUN: reads a run's event file with TensorBoard's EventAccumulator and compares it with RUN/metrics.jsonl.

    python -m venv /tmp/oracle && /tmp/oracle/bin/pip install tensorboard==2.21.0
    /tmp/oracle/bin/python test/oracles/tensorboard_events.py fixture
    /tmp/oracle/bin/python test/oracles/tensorboard_events.py check runs/tiny
"""
import json
import struct
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


TAGS = {
    "loss": "loss",
    "val_loss": "val_loss",
    "learning_rate": "learning-rate",
    "grad_norm": "grad-norm",
    "kd_loss": "kd_loss",
    "logits_loss": "logits_loss",
    "intermediate_loss": "intermediate_loss",
    "lm_loss": "lm_loss",
    "tokens_per_second": "tokens/s",
}


OUT = Path(__file__).parent.parent / "fixtures" / "train" / "tensorboard.tfevents"


def fixture():
    with open(OUT, "wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=1000.5, file_version="brain.Event:2").SerializeToString())
        for step, values in ((1, {"loss": 1.5, "learning-rate": 1e-4}), (2**40 + 3, {"loss vs samples": -2.25})):
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
            writer.write(Event(wall_time=1000.5 + step % 7, step=step, summary=summary).SerializeToString())


def check(run):
    lines = [json.loads(line) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]
    accumulator = EventAccumulator(str(run), size_guidance={"scalars": 0})
    accumulator.Reload()
    compared = 0
    for key, tag in TAGS.items():
        for name, axis in ((tag, "step"), (f"{tag} vs samples", "samples")):
            expected = [(line[axis], f32(line[key])) for line in lines if isinstance(line.get(key), (int, float))]
            if not expected:
                continue
            found = [(event.step, event.value) for event in accumulator.Scalars(name)]
            assert found == expected, f"{name}: expected {expected[:3]}..., found {found[:3]}..."
            compared += len(found)
    print(f"{len(lines)} steps, {compared} values equal; tags {sorted(accumulator.Tags()['scalars'])}")


def f32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


{"fixture": fixture, "check": check}[sys.argv[1]](*sys.argv[2:])
