"""Build an architecture block by block, where a block may read any earlier ones."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from nas.network.blocks import IMAGE, Architecture, Block
from nas.network.detector import Detector

_STAGE = "stages."


class ArchitectureBuilder:
    """The blocks so far, the section of the next one, and the output channels at each place.

    A section is "stem", "stages.N" or "head". Methods that add blocks return the place of the last
    one, which later blocks may read.
    """

    def __init__(self, *, input_channels: int = 3, act: str = "relu6") -> None:
        """Begin with the image; `act` is the default activation of convolutions."""
        self.act = act
        self.section = "stem"
        self.last = IMAGE
        self.channels = {IMAGE: input_channels}
        self._sections: dict[str, list[Block]] = {"stem": []}

    @classmethod
    def of(cls, arch: Architecture, *, act: str = "relu6") -> "ArchitectureBuilder":
        """Return a builder with the blocks of `arch`, to be continued in section "head"."""
        builder = cls(input_channels=arch.input_channels, act=act)
        for place, block in arch.named_blocks():
            builder.section = place.rpartition(".")[0]
            builder.put(block)
        builder.section = "head"
        return builder

    def put(self, block: Block) -> str:
        """Add `block`; its `inputs` are omitted if it reads the last one."""
        blocks = self._sections.setdefault(self.section, [])
        place = f"{self.section}.{len(blocks)}"
        blocks.append(replace(block, inputs=()) if block.inputs == (self.last,) else block)
        self.channels[place], self.last = block.out_channels, place
        return place

    def add(self, kind: str, source: str, out: int | None = None, **fields: Any) -> str:
        """Add a block of `kind` that reads `source`; without `out` it keeps the channels."""
        channels = self.channels[source]
        wanted = {"act": self.act, **fields}
        block = Block(
            kind=kind,
            in_channels=channels,
            out_channels=out or channels,
            inputs=(source,),
            **wanted,
        )
        return self.put(block)

    def conv(self, source: str, out: int, kernel: int = 1, stride: int = 1, **fields: Any) -> str:
        """Add a convolution with normalisation and activation."""
        return self.add("conv", source, out, kernel=kernel, stride=stride, **fields)

    def join(self, kind: str, sources: Iterable[str]) -> str:
        """Add the concatenation ("concat") or the sum ("add") of `sources`."""
        names = tuple(sources)
        total = sum(self.channels[name] for name in names)
        out = total if kind == "concat" else self.channels[names[0]]
        return self.put(
            Block(kind=kind, in_channels=out, out_channels=out, act="none", inputs=names)
        )

    def architecture(
        self, *, resolution: int, detector: Detector | None = None, **fields: Any
    ) -> Architecture:
        """Return the architecture of all blocks."""
        numbers = [int(s.removeprefix(_STAGE)) for s in self._sections if _STAGE in s]
        return Architecture(
            resolution=resolution,
            input_channels=self.channels[IMAGE],
            stem=tuple(self._sections["stem"]),
            stages=tuple(
                tuple(self._sections.get(f"{_STAGE}{number}", ()))  # a stage may have no blocks
                for number in range(max(numbers, default=-1) + 1)
            ),
            head=tuple(self._sections.get("head", ())),
            detector=detector,
            **fields,
        )
