"""Costs: worked examples, and sums."""

from collections.abc import Sequence
from dataclasses import replace

from nas.network.blocks import Architecture, Block
from nas.network.cost import Cost, cost, cost_of, costs_by_unit
from nas.network.lowering import lower_block
from nas.network.multipliers import scale_resolution
from nas.network.zoo import load_architecture


def cost_of_block(block: Block, shape: tuple[int, int, int]) -> Cost:
    return cost_of(lower_block(block, shape))


def conv(inputs: int, outputs: int, kernel: int, kind: str = "conv") -> Block:
    return Block(kind=kind, in_channels=inputs, out_channels=outputs, kernel=kernel)


def test_plain_convolution_on_32x32() -> None:
    found = cost_of_block(conv(3, 64, 3), (3, 32, 32))
    assert found == Cost(macs=1_769_472, params=1_728 + 128, activations=65_536)


def test_convolution_on_8x8_and_its_separable_form() -> None:
    assert cost_of_block(conv(3, 256, 5), (3, 8, 8)).macs == 1_228_800
    assert cost_of_block(conv(3, 256, 5, "separable"), (3, 8, 8)).macs == 4_800 + 49_152 == 53_952


def test_stride_divides_the_work() -> None:
    full = cost_of_block(conv(3, 64, 3), (3, 32, 32)).macs
    assert cost_of_block(replace(conv(3, 64, 3), stride=2), (3, 32, 32)).macs == full // 4


def test_mbconv_with_squeeze_by_hand() -> None:
    block = Block(kind="mbconv", in_channels=16, out_channels=24, hidden_channels=64, kernel=3,
                  stride=2, se_channels=4)  # fmt: skip
    expand = 16 * 64
    depthwise, squeeze, project = 9 * 64, 2 * 64 * 4, 64 * 24
    found = cost_of_block(block, (16, 10, 10))
    assert found.macs == expand * 100 + depthwise * 25 + squeeze + project * 25
    norms_and_biases = 2 * (64 + 64 + 24) + 64 + 4
    assert found.params == expand + depthwise + squeeze + project + norms_and_biases
    assert found.activations == 64 * 100 + 64 * 25 + 68 + 24 * 25


def test_linear_and_pool() -> None:
    linear = Block(kind="linear", in_channels=1280, out_channels=1000, act="none")
    assert cost_of_block(linear, (1280, 1, 1)) == Cost(
        macs=1_280_000, params=1_281_000, activations=1000
    )
    pool = Block(kind="pool", in_channels=8, out_channels=8)
    assert cost_of_block(pool, (8, 7, 7)) == Cost()


def test_units_sum_to_the_whole() -> None:
    arch = load_architecture("mobilenet_v3_large")
    parts: Sequence[Cost] = list(costs_by_unit(arch).values())
    assert len(parts) == len(arch.named_blocks())
    assert sum(parts, Cost()) == cost(arch)


def test_parameters_do_not_depend_on_the_resolution() -> None:
    arch = load_architecture("mobilenet_v2")
    assert cost(scale_resolution(arch, 96)).params == cost(arch).params


def test_a_network_that_only_pools_costs_nothing() -> None:
    pool = Block(kind="pool", in_channels=3, out_channels=3)
    assert cost(Architecture(resolution=8, stem=(), stages=(), head=(pool,))) == Cost()
