"""All rules at once, round after round, on blocks of real architectures: every form of every value is the same."""

from __future__ import annotations

import numpy as np
import pytest

from eqsat.egraph.session import Session
from eqsat.rules import FloatClass, load_rules
from eqsat.rules.instances import Precision, draw
from ir.availability import available_operators
from tests.rules.agreement import Engine, Values
from tests.rules.instance_graphs import load

NUM_ROUNDS = 6

PLAIN = "(ConvA (vec-of 1 1) (vec-of 1 1 1 1) (vec-of 1 1) {group})"
HEADS = "(Transpose (Reshape {x} (S4 B S 2 4)) (vec-of 0 2 1 3))"
SWAPPED = "(Reshape (Transpose (Reshape {x} (S3 2*B S 4)) (vec-of 0 2 1)) (S4 B 2 4 S))"
NORM = "(LayerNormalization {x} w b (LayerNormalizationA -1 1e-5 1))"

ROTATED = (
    "(Concat (Cons (Neg (Slice {x} (SliceA (vec-of 4) (vec-of 8) (vec-of 3) (vec-of 1))))"
    " (Cons (Slice {x} (SliceA (vec-of 0) (vec-of 4) (vec-of 3) (vec-of 1))) (Nil))) 3)"
)

BLOCKS = {
    "encoder": (
        "h:f32[B,S,8] c:b[B,1,S,S] i=[8,8] j=[8,8] k=[8,8] p=[8] q=[8] r=[8] w=[8] b=[8] u=[8,12] v=[12,8] s=[12]"
        f" | (let n {NORM.format(x='h')})"
        f" (let y {HEADS.format(x='(Add (MatMul n i) p)')})"
        f" (let e {HEADS.format(x='(Add (MatMul n j) q)')})"
        f" (let d {HEADS.format(x='(Add (MatMul n k) r)')})"
        f" (let f (Softmax (Add (MatMul (Mul y 0.7f) (Mul {SWAPPED.format(x='e')} 0.7f))"
        " (Where c 0.0f -3.4028234663852886e38f)) -1))"
        " (let a (MatMul (Where (IsNaN f) 0.0f f) d))"
        f" (let o (Add (Reshape (Transpose a (vec-of 0 2 1 3)) (S3 B S 8)) h))"
        f" (let l (Add (MatMul {NORM.format(x='o')} u) s))"
        " (Add (MatMul (Mul l (Mul 0.5f (Add 1.0f (Erf (Div l 1.4142135f))))) v) o)"
    ),
    "decoder": (
        "h:f32[B,S,8] i=[8,8] k=[8,8] w=[8] u=[8,12] g=[8,12] v=[12,8]"
        " | (let m (ReduceMean (Pow h 2.0f) (ReduceMeanA (vec-of -1) 1)))"
        " (let n (Mul w (Mul h (Reciprocal (Sqrt (Add m 1e-6f))))))"
        f" (let y {HEADS.format(x='(MatMul n i)')})"
        f" (let f (Softmax (Div (MatMul y {SWAPPED.format(x='y')}) 2.0f) -1))"
        f" (let a (MatMul f {HEADS.format(x='(MatMul n k)')}))"
        " (let o (Add h (Reshape (Transpose a (vec-of 0 2 1 3)) (S3 B S 8))))"
        " (let l (MatMul o g)) (Add (MatMul (Mul (Mul l (Sigmoid l)) (MatMul o u)) v) o)"
    ),
    "classifier": (
        "x:f32[B,6,8] i=[8,8] j=[8,8] k=[8,8] p=[8] q=[8] r=[8] w=[8] b=[8] o=[8,8] u=[8,12] v=[12,8] s=[12] l=[8,5]"
        " t:i64=0"
        f" | (let n {NORM.format(x='x')})"
        f" (let y {HEADS.replace('S', '6').format(x='(Add (MatMul n i) p)')})"
        f" (let e {HEADS.replace('S', '6').format(x='(Add (MatMul n j) q)')})"
        f" (let d {HEADS.replace('S', '6').format(x='(Add (MatMul n k) r)')})"
        f" (let f (Softmax (MatMul (Mul y 0.5f) {SWAPPED.replace('S', '6').format(x='e')}) -1))"
        " (let a (MatMul (Reshape (Transpose (MatMul f d) (vec-of 0 2 1 3)) (S3 B 6 8)) o))"
        " (let h (Add a x))"
        f" (let m (Add (MatMul {NORM.format(x='h')} u) s))"
        " (let g (Add (MatMul (Mul m (Mul 0.5f (Add 1.0f (Erf (Div m 1.4142135f))))) v) h))"
        f" (MatMul (Gather {NORM.format(x='g')} t 1) l)"
    ),
    "channels-last": (
        "x:f32[B,6,6,4] w=[8,4,3,3] i=[8] v=[8,8,1,1] j=[8] g=[8] b=[8] m=[8] s+=[8] l=[8,5]"
        ' | (let c (Conv (Pad (Transpose x (vec-of 0 3 1 2)) (Absent) (PadA "constant" (vec-of 0 0 1 1 0 0 1 1))) w'
        " (Absent) (ConvA (vec-of 1 1) (vec-of 0 0 0 0) (vec-of 1 1) 1)))"
        " (let r (Clip (Add (Transpose c (vec-of 0 2 3 1)) i) 0.0f 6.0f))"
        " (let e (Conv (Transpose r (vec-of 0 3 1 2)) v (Absent) (ConvA (vec-of 1 1) (vec-of 0 0 0 0) (vec-of 1 1) 1)))"
        " (let h (Add (Add (Transpose e (vec-of 0 2 3 1)) j) r))"
        " (let n (BatchNormalization (Transpose h (vec-of 0 3 1 2)) g b m s 1e-3))"
        " (MatMul (ReduceMean (Transpose (Relu n) (vec-of 0 2 3 1)) (ReduceMeanA (vec-of -3 -2) 0)) l)"
    ),
    "rotary": (
        "h:f32[B,3,32] f=[3,4] i=[32,32] k=[32,16] l=[32,16]"
        " | (let t (Reshape (Concat (Cons f (Cons f (Nil))) 1) (S4 1 1 3 8)))"
        " (let y (Transpose (Reshape (MatMul h i) (S4 B 3 4 8)) (vec-of 0 2 1 3)))"
        " (let e (Transpose (Reshape (MatMul h k) (S4 B 3 2 8)) (vec-of 0 2 1 3)))"
        " (let d (Transpose (Reshape (MatMul h l) (S4 B 3 2 8)) (vec-of 0 2 1 3)))"
        f" (let o (Add (Mul y (Cos t)) (Mul {ROTATED.format(x='y')} (Sin t))))"
        f" (let n (Add (Mul e (Cos t)) (Mul {ROTATED.format(x='e')} (Sin t))))"
        " (let u (Reshape (Expand (Reshape n (S5 B 2 1 3 8)) (S5 B 2 2 3 8)) (S4 B 4 3 8)))"
        " (let v (Reshape (Expand (Reshape d (S5 B 2 1 3 8)) (S5 B 2 2 3 8)) (S4 B 4 3 8)))"
        " (let c (Trilu (ConstantOfShape (ConstantOfShapeA (S2 3 3) 1.0 9)) (TriluA 0 0)))"
        " (let p (Softmax (Add (Mul (MatMul o (Transpose u (vec-of 0 1 3 2))) 0.35f)"
        " (Where c 0.0f -3.4028234663852886e38f)) -1))"
        " (Reshape (Transpose (MatMul p v) (vec-of 0 2 1 3)) (S3 B 3 32))"
    ),
    "image": (
        "x:f32[B,8,6,6] i=[8,4,3,3] j=[8,4,3,3] g=[16] b=[16] m=[16] v+=[16] s=[16,1,1] t=[16,1,1]"
        " w=[16,4,3,3] z=[10,16]"
        f" | (let p (Split x (SplitA 1 (vec-of 4 4))))"
        f" (let c (Concat (Cons (Conv (Out p 0) i (Absent) {PLAIN.format(group=1)})"
        f" (Cons (Conv (Out p 1) j (Absent) {PLAIN.format(group=1)}) (Nil))) 1))"
        " (let n (Relu (Add (Mul (BatchNormalization c g b m v 1e-5) s) t)))"
        f" (let r (Clip (Conv (LRN n (LRNA 5 0.1 0.75 1.0)) w (Absent) {PLAIN.format(group=4)}) 0.0f 6.0f))"
        " (Gemm (Reshape (ReduceMean r (ReduceMeanA (vec-of -2 -1) 1)) (S2 B 16)) z (Absent) (GemmA 1.0 1.0 0 1))"
    ),
}

EXPECTED = {
    "encoder": {
        "add-sum-layer-norm",
        "attention-multi-head-biased",
        "bias-gelu",
        "gelu-erf",
        "matmul-join",
        "nan-guard-softmax",
        "split-shift",
    },
    "decoder": {"attention-multi-head", "rms-norm", "silu-quick-gelu"},
    "classifier": {"attention-packed", "gather-of-one", "slice-of-attention", "slice-of-gelu", "slice-of-matmul-rows"},
    "channels-last": {
        "conv-of-padded-image",
        "conv-shift-image",
        "mean-of-transposed-image",
        "transpose-of-add-channels-last",
        "transpose-of-clip",
    },
    "rotary": {"attention-grouped-query", "rotary-embedding"},
    "image": {"conv-batch-norm-image", "conv-branches", "conv-regroup-16", "lrn-three-quarters", "mean-global-pool"},
}
"""Rules that must have been applied."""


@pytest.mark.parametrize("block", BLOCKS)
def test_all_forms_agree(block: str) -> None:
    rng = np.random.default_rng(7)
    loaded = load(draw(BLOCKS[block], rng, Precision.SINGLE), rng)
    operators = available_operators(loaded.graph.opset, has_provider_operators=True)
    session = Session(loaded.graph, load_rules().select(available_operators=operators))
    for _ in range(NUM_ROUNDS):
        session.apply(list(session.candidates()))
    assert EXPECTED[block] <= set(session.applied)
    assert not session.refused
    assert Values(session, loaded.feeds, loaded.sizes, Engine.RUNTIME).check(FloatClass.REASSOCIATES) > len(
        EXPECTED[block]
    )
