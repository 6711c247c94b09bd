"""Kernels and their time from profiles: made-up ones of every backend."""

import types

import pytest

from benchmarks.profiling import programs
from benchmarks.profiling.trace import (
    CALL,
    Execution,
    read_planes,
    read_trace,
    shares,
)


def event(name, start, duration, **stats):
    return types.SimpleNamespace(
        name=name, start_ns=start, duration_ns=duration, stats=stats.items()
    )


def plane(name, **lines):
    return types.SimpleNamespace(
        name=name,
        lines=[
            types.SimpleNamespace(name=key.replace("_", " "), events=events)
            for key, events in lines.items()
        ],
    )


def test_on_a_cpu_a_kernel_ends_when_its_last_thread_does():
    host = plane(
        "/host:CPU",
        python=[event(CALL, 0, 100), event("something else", 0, 50)],
        tf_XLAEigen=[
            event("ThunkExecutor::Execute", 5, 90),
            event("dot.1", 10, 2, hlo_op="dot.1", program_id=4, _p=7),
            event("copy.2", 15, 10, hlo_op="copy.2", program_id=4, _p=8),
        ],
        other=[event("end: dot.1", 40, 1, _c=7), event("end: copy.2", 25, 1, _c=8)],
    )
    trace = read_planes([plane("/host:metadata"), host])
    assert trace.calls == [(0, 100)]
    assert trace.executions == [
        Execution("dot.1", 4, 10, 40),
        Execution("copy.2", 4, 15, 25),
    ]


def test_on_a_gpu_kernels_are_those_of_the_streams_of_the_first_device():
    def device(number):
        return plane(
            f"/device:GPU:{number}",
            **{
                f"Stream_{number}": [
                    event(
                        "void cudnn_kernel()",
                        10,
                        5,
                        hlo_op="custom-call.3",
                        program_id=2,
                    )
                ],
                "Launch Stats": [event("fusion.1", 10, 5)],
            },
        )

    host = plane("/host:CPU", main=[event(CALL, 0, 100)])
    trace = read_planes([device(1), device(0), host])
    assert trace.executions == [Execution("custom-call.3", 2, 10, 15)]
    assert trace.calls == [(0, 100)]


def test_kernels_of_cuda_graphs_are_known_by_their_functions():
    stream = [
        event("input_reduce_fusion_12", 10, 5, hlo_op="command_buffer_27"),
        event("void cutlass::Kernel<float>(Params)", 20, 5, hlo_op="command_buffer"),
    ]
    device = plane("/device:GPU:0", **{"Stream_#14(Compute)": stream})
    names = [one.name for one in read_planes([device]).executions]
    assert names == ["input_reduce_fusion_12", "void"]


def test_on_a_tpu_kernels_are_those_of_the_line_of_operations():
    device = plane(
        "/device:TPU:0",
        Steps=[event("0", 0, 100)],
        XLA_Modules=[event("jit_train_step(123)", 0, 100)],
        XLA_Ops=[event("%fusion.5 = bf16[8,128]{1,0:T(8,128)} fusion(%x)", 10, 30)],
    )
    empty = plane("/device:TPU:1", XLA_Ops=[])
    trace = read_planes([empty, device])
    assert trace.executions == [Execution("fusion.5", None, 10, 40)]


def test_a_folder_without_a_profile_is_one_clear_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no profile"):
        read_trace(tmp_path)


def kernel(start, end):
    return Execution("k", None, start, end)


def test_kernels_at_the_same_time_share_it():
    running = [kernel(10, 50), kernel(30, 70), kernel(80, 200)]
    held, waiting = shares(running, 0, 100)
    # Alone for 20, together for 20, alone for 20; the third is cut at the end.
    assert held.tolist() == pytest.approx([30e-9, 30e-9, 20e-9])
    assert waiting == pytest.approx(20e-9)


def test_three_kernels_at_once_and_one_that_takes_no_time():
    running = [kernel(0, 30), kernel(0, 30), kernel(0, 60), kernel(45, 45)]
    held, waiting = shares(running, 0, 60)
    assert held.tolist() == pytest.approx([10e-9, 10e-9, 40e-9, 0])
    assert waiting == 0


def test_without_kernels_all_is_waiting():
    held, waiting = shares([], 100, 350)
    assert held.size == 0
    assert waiting == pytest.approx(250e-9)


def test_one_integer_of_a_protocol_buffer():
    # Field 1 is bytes that look like field 5, 2 and 3 have fixed sizes, 5 is 300.
    message = b"\x0a\x02\x28\x01" + b"\x11" + bytes(8) + b"\x1d" + bytes(4)
    message += b"\x20\x07" + b"\x28\xac\x02" + b"\x30\x01"
    assert programs._varint_field(message, 5) == 300
    assert programs._varint_field(message, 4) == 7
    assert programs._varint_field(message, 9) is None
