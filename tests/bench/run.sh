#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What `./dev bench [NAME…] [--json]` runs; `--list` names the benchmarks. Never part of a test: figures of a shared machine
# pass and fail by its mood.
exec python3 "$(dirname "$(readlink -f "$0")")/bench.py" "$@"
