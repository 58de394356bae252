"""advgen: why a CLIP model can be fooled, and benchmark data made from the answer.

The rooms are `advgen.models`, `advgen.lens`, `advgen.text`, `advgen.mining`, `advgen.generation`,
`advgen.scoring`, `advgen.attack` and `advgen.sandbox`; ARCHITECTURE.md is the map. Importing this
package imports none of them.
"""

__version__ = "0.1.0"
