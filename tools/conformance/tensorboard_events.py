#!/usr/bin/env python3
"""Reads a run's TensorBoard event files with TensorBoard itself and compares them with metrics.jsonl.

  python3 -m venv /tmp/tb && /tmp/tb/bin/pip install tensorboard
  /tmp/tb/bin/python tools/conformance/tensorboard_events.py RUN_FOLDER

Every number of every line of metrics.jsonl must come back under the same tag and step, equal as f32.
Exit 0 if all do.
"""
import json
import pathlib
import struct
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def as_f32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def main():
    run = pathlib.Path(sys.argv[1])
    accumulator = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    accumulator.Reload()
    read = {}
    for tag in accumulator.Tags()["scalars"]:
        for event in accumulator.Scalars(tag):
            read[tag, event.step] = event.value
    wanted = 0
    for line in (run / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        for name, value in record.items():
            if "/" not in name or isinstance(value, (list, type(None))):
                continue
            wanted += 1
            found = read.get((name, record["step"]))
            if found != as_f32(value):
                print(f"step {record['step']} {name}: wrote {value}, TensorBoard read {found}")
                return 1
    print(f"TensorBoard read all {wanted} scalars")
    return 0 if wanted and wanted == len(read) else 1


if __name__ == "__main__":
    sys.exit(main())
