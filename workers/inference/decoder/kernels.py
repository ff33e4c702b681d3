"""The loops of a forward pass, compiled by numba for the processor at hand.

Each number of a result is a sum over one axis, taken from its first element to its
last by one fused multiply-add after the other. So it does not depend on how many rows
are computed together: a sequence gets the same bits alone, beside others, in pieces or
anew. Speed comes from taking `LANES` results, and rows up to `MOST_ROWS`, at a time:
every weight is read once for all rows, in the order it lies in memory. Several threads
take parts of a product from one counter (`share`); no number is summed by two of them.

Measured against torch in docs/LOG.md. One file, since numba's cache of compiled code
only looks at the file of a function.

Shapes: N rows (tokens of any sequences), C width, H heads, K key-value heads, D width
of a head (padded), F width of the feed-forward part (padded), T context (padded).
"""

from typing import Any, NamedTuple

import numpy as np
from llvmlite import binding, ir
from numba import carray, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16
"""Floats of one register of AVX-512; two or four of narrower processors'."""
PANEL = 2 * LANES
"""Results taken at a time; matrices are padded to a multiple of it."""
HAS_WIDE_REGISTERS = binding.get_host_cpu_features().get("avx512f", False)
MOST_ROWS = 8 if HAS_WIDE_REGISTERS else 2
"""Rows taken at a time: as many as there are registers for."""

WORTH_SHARING = 2**15
"""Products below this many are computed before another thread would have begun."""

# Places in the words a team of threads shares. Each of the first few has cache lines of
# its own, so that those who wait do not slow down those who work.
TICKET, DONE, IS_ON, SEMAPHORE, JOB = 0, 16, 32, 48, 64
"""Job and parts left · parts done · whether a pass is on · of libc · what to do."""
KIND, NUM_ROWS, FIRST_ADDRESS = JOB, JOB + 1, JOB + 2
SHAPE = JOB + 16
NUM_WORDS = SHAPE + 16
PRODUCT, ATTENTION, HIDDEN = range(3)
LEFT = 2**32
"""A ticket is the number of a job times this, and how many of its parts are left."""
JOBS = 2**30
"""Numbers of jobs begin again after so many."""
PATIENCE = 200
"""Looks at a word before the core is offered to others between two looks."""
LINGER = 2000
"""Offers before a helper that no pass has called goes to sleep: 0.4 ms, longer than it
takes to choose the tokens. To wake up takes 65 µs, a tenth of a small model's pass."""

FLOAT, SHORT = ir.FloatType(), ir.IntType(16)
INDEX, LANE_INDEX = ir.IntType(64), ir.IntType(32)
FLOATS = ir.VectorType(FLOAT, LANES)


class Shape(NamedTuple):
    """Sizes of a model; widths of heads and of the feed-forward part are padded."""

    num_layers: int
    width: int
    num_heads: int
    num_kv_heads: int
    head_width: int
    """As in the model; `padded_head` is a multiple of PANEL."""
    padded_head: int
    ffn: int
    context: int
    """Positions a slot has room for, a multiple of PANEL."""
    epsilon: float
    scale: float
    """Of scores before the softmax."""
    is_gpt2: bool
    """LayerNorm, GELU and learned positions; else RMSNorm, gated SiLU and rotation."""
    has_head_norms: bool
    """Whether queries and keys are normed (Qwen 3)."""
    num_experts: int = 0
    """Feed-forward parts of a layer (Mixtral), or 0 where there is but one."""
    num_chosen: int = 0
    """Experts each row goes through."""


# Names of the parts of a layer, in the order their places are told.
QKV, OUT, UP, DOWN, ROUTER = range(5)
FIRST_EXPERT = 5
"""UP and DOWN of each expert follow from here."""
NORM_1, NORM_2, QKV_BIAS, OUT_BIAS, UP_BIAS, DOWN_BIAS, Q_NORM, K_NORM = range(8)
NORM_1_BIAS, NORM_2_BIAS = 8, 9
NUM_MATRICES, NUM_VECTORS = 5, 10
NOWHERE = -1


def pointer(context: Any, builder: Any, kind: Any, array: Any, place: Any) -> Any:
    """Return the address of a place of an array."""
    data = cgutils.create_struct_proxy(kind)(context, builder, value=array).data
    return builder.gep(data, [place])


def load(builder: Any, address: Any) -> Any:
    """Load LANES floats; those stored in 16 bits become whole ones."""
    is_half = address.type.pointee == SHORT
    stored = ir.VectorType(SHORT, LANES) if is_half else FLOATS
    held = builder.load(builder.bitcast(address, stored.as_pointer()))
    held.align = 2 if is_half else 4
    if not is_half:
        return held
    # bfloat16 is the upper half of a float.
    wide = ir.VectorType(ir.IntType(32), LANES)
    bits = builder.shl(builder.zext(held, wide), ir.Constant(wide, [16] * LANES))
    return builder.bitcast(bits, FLOATS)


def splat(builder: Any, value: Any) -> Any:
    """Return LANES copies of a float."""
    nothing = ir.Constant(FLOATS, ir.Undefined)
    one = builder.insert_element(nothing, value, ir.Constant(LANE_INDEX, 0))
    places = ir.Constant(ir.VectorType(LANE_INDEX, LANES), [0] * LANES)
    return builder.shuffle_vector(one, nothing, places)


def make_tile(num_rows: int, *, is_shared: bool = True) -> Any:
    """Return a loop that computes PANEL results for each of `num_rows` rows.

    y[r, c] (+)= sum over i of x[r, i] * m[i, c], the sums held in registers. `x_at`,
    `x_step` … are the place of the first element and the distance of rows. With
    `is_shared` all rows meet one matrix, else each its own, `m_apart` further on.
    """
    num_vectors = PANEL // LANES

    @intrinsic
    def tile(
        typing_context,
        x,
        x_at,
        x_step,
        m,
        m_at,
        m_step,
        m_apart,
        n,
        y,
        y_at,
        y_step,
        adds,
    ):
        whole = types.int64
        signature = types.void(
            x,
            whole,
            whole,
            m,
            whole,
            whole,
            whole,
            whole,
            y,
            whole,
            whole,
            types.boolean,
        )

        def generate(context, builder, signature, given):
            x, x_at, x_step, m, m_at, m_step, m_apart, n, y, y_at, y_step, adds = given
            x_row = pointer(context, builder, signature.args[0], x, x_at)
            m_row = pointer(context, builder, signature.args[3], m, m_at)
            y_row = pointer(context, builder, signature.args[8], y, y_at)
            kind = ir.FunctionType(FLOATS, [FLOATS] * 3)
            name = f"llvm.fma.v{LANES}f32"
            multiply_add = cgutils.get_or_insert_function(builder.module, kind, name)
            index = lambda number: ir.Constant(INDEX, number)  # noqa: E731
            zero = ir.Constant(FLOATS, [0.0] * LANES)
            cells = [(r, v) for r in range(num_rows) for v in range(num_vectors)]

            before = builder.block
            loop = builder.append_basic_block("sum")
            after = builder.append_basic_block("store")
            builder.branch(loop)
            builder.position_at_end(loop)
            i = builder.phi(INDEX)
            i.add_incoming(index(0), before)
            sums = {cell: builder.phi(FLOATS) for cell in cells}
            weights_at = builder.gep(m_row, [builder.mul(i, m_step)])

            def weights_of(row: int) -> list[Any]:
                at = builder.gep(weights_at, [builder.mul(m_apart, index(row))])
                return [
                    load(builder, builder.gep(at, [index(LANES * v)]))
                    for v in range(num_vectors)
                ]

            new = {}
            for r in range(num_rows):
                if r == 0 or not is_shared:
                    weights = weights_of(r)
                place = builder.add(i, builder.mul(x_step, index(r)))
                value = splat(builder, builder.load(builder.gep(x_row, [place])))
                for v in range(num_vectors):
                    args = [value, weights[v], sums[r, v]]
                    new[r, v] = builder.call(multiply_add, args)
            following = builder.add(i, index(1))
            i.add_incoming(following, loop)
            for cell in cells:
                sums[cell].add_incoming(zero, before)
                sums[cell].add_incoming(new[cell], loop)
            more = builder.icmp_signed("<", following, n)
            builder.cbranch(more, loop, after)
            builder.position_at_end(after)

            def store(*, is_added: bool) -> None:
                for r, v in cells:
                    place = builder.add(builder.mul(y_step, index(r)), index(LANES * v))
                    address = builder.gep(y_row, [place])
                    value = new[r, v]
                    if is_added:
                        value = builder.fadd(value, load(builder, address))
                    vector = builder.bitcast(address, FLOATS.as_pointer())
                    builder.store(value, vector).align = 4

            with builder.if_else(adds) as (yes, no):
                with yes:
                    store(is_added=True)
                with no:
                    store(is_added=False)
            return context.get_dummy_value()

        return signature, generate

    return tile


tile_1, tile_2, tile_4, tile_8 = (make_tile(rows) for rows in (1, 2, 4, 8))
tile_apart_2, tile_apart_8 = (make_tile(rows, is_shared=False) for rows in (2, 8))


@njit(nogil=True, cache=True)
def tiles(x, x_at, x_step, num_rows, m, m_at, m_step, n, y, y_at, y_step, adds):
    """Compute PANEL results for any number of rows."""
    row = 0
    if MOST_ROWS == 8:
        while row + 8 <= num_rows:
            tile_8(
                x, x_at + row * x_step, x_step,
                m, m_at, m_step, 0, n, y, y_at + row * y_step, y_step, adds,
            )  # fmt: skip
            row += 8
        if row + 4 <= num_rows:
            tile_4(
                x, x_at + row * x_step, x_step,
                m, m_at, m_step, 0, n, y, y_at + row * y_step, y_step, adds,
            )  # fmt: skip
            row += 4
    while row + 2 <= num_rows:
        tile_2(
            x, x_at + row * x_step, x_step,
            m, m_at, m_step, 0, n, y, y_at + row * y_step, y_step, adds,
        )  # fmt: skip
        row += 2
    if row < num_rows:
        tile_1(
            x, x_at + row * x_step, x_step,
            m, m_at, m_step, 0, n, y, y_at + row * y_step, y_step, adds,
        )  # fmt: skip


@njit(nogil=True, cache=True)
def tiles_apart(
    x, x_at, x_step, num_rows, m, m_at, m_step, m_apart, n, y, y_at, y_step
):
    """Compute PANEL results for any number of rows, each with a matrix of its own."""
    row = 0
    if MOST_ROWS == 8:
        while row + 8 <= num_rows:
            tile_apart_8(
                x, x_at + row * x_step, x_step,
                m, m_at + row * m_apart, m_step, m_apart,
                n, y, y_at + row * y_step, y_step, False,
            )  # fmt: skip
            row += 8
    while row + 2 <= num_rows:
        tile_apart_2(
            x, x_at + row * x_step, x_step, m, m_at + row * m_apart, m_step, m_apart,
            n, y, y_at + row * y_step, y_step, False,
        )  # fmt: skip
        row += 2
    if row < num_rows:
        tile_1(
            x, x_at + row * x_step, x_step, m, m_at + row * m_apart, m_step, 0,
            n, y, y_at + row * y_step, y_step, False,
        )  # fmt: skip


@intrinsic
def look(typing_context, words, place):
    """Return a word, seeing all that was written before it was put."""

    def generate(context, builder, signature, given):
        at = pointer(context, builder, signature.args[0], *given)
        return builder.load_atomic(at, "acquire", 8)

    return types.int64(words, types.int64), generate


@intrinsic
def put(typing_context, words, place, value):
    """Set a word, after all that was written before."""

    def generate(context, builder, signature, given):
        at = pointer(context, builder, signature.args[0], *given[:2])
        builder.store_atomic(given[2], at, "release", 8)
        return context.get_dummy_value()

    return types.void(words, types.int64, types.int64), generate


@intrinsic
def add(typing_context, words, place, value):
    """Add to a word."""

    def generate(context, builder, signature, given):
        at = pointer(context, builder, signature.args[0], *given[:2])
        return builder.atomic_rmw("add", at, given[2], "acq_rel")

    return types.int64(words, types.int64, types.int64), generate


@intrinsic
def change(typing_context, words, place, old, new):
    """Set a word to `new` if it is `old`; return whether it was."""

    def generate(context, builder, signature, given):
        at = pointer(context, builder, signature.args[0], *given[:2])
        found = builder.cmpxchg(at, given[2], given[3], "acq_rel", "acquire")
        return builder.extract_value(found, 1)

    whole = types.int64
    return types.boolean(words, whole, whole, whole), generate


@intrinsic
def address(typing_context, word):
    """Return a word as an address."""

    def generate(context, builder, signature, given):
        return builder.inttoptr(given[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), generate


semaphore_wait = types.ExternalFunction("sem_wait", types.intc(types.intp))
semaphore_try = types.ExternalFunction("sem_trywait", types.intc(types.intp))
semaphore_post = types.ExternalFunction("sem_post", types.intc(types.intp))
offer_core = types.ExternalFunction("sched_yield", types.intc())


@njit(nogil=True, cache=True)
def call(team, num_threads):
    """Call the helpers of a pass."""
    put(team, IS_ON, 1)
    for _ in range(num_threads - 1):
        semaphore_post(team[SEMAPHORE:].ctypes.data)


@njit(nogil=True, cache=True)
def end_pass(team):
    """Let the helpers rest."""
    put(team, IS_ON, 0)


@njit(nogil=True, cache=True)
def begin_pass(team, shape, num_threads):
    """Call the helpers, and tell them the shape of the model."""
    reals = team.view(np.float64)
    team[SHAPE] = shape.num_layers
    team[SHAPE + 1] = shape.num_heads
    team[SHAPE + 2] = shape.num_kv_heads
    team[SHAPE + 3] = shape.head_width
    team[SHAPE + 4] = shape.padded_head
    team[SHAPE + 5] = shape.ffn
    team[SHAPE + 6] = shape.context
    reals[SHAPE + 7] = shape.scale
    team[SHAPE + 8] = shape.is_gpt2
    call(team, num_threads)


@njit(nogil=True, cache=True)
def take(team, num_threads):
    """Claim parts of the job at hand; return the first and one past the last left.

    Parts are counted down. A ticket names its job, so whoever comes late with an old
    one gets nothing; whoever gets parts keeps the job from ending until they are done,
    so that its words may be read afterwards.
    """
    while True:
        ticket = look(team, TICKET)
        left = ticket % LEFT
        if left == 0:
            return 0, 0
        # Large pieces first, small ones at the end: few claims, and all end together.
        num = max(1, left // num_threads)
        if change(team, TICKET, ticket, ticket - num):
            return left - num, left


@njit(nogil=True, cache=True)
def publish(team, kind, num_rows, num_parts):
    """Let parts of a job be taken, whose words were told before."""
    team[KIND] = kind
    team[NUM_ROWS] = num_rows
    put(team, DONE, 0)
    job = look(team, TICKET) // LEFT + 1
    put(team, TICKET, job % JOBS * LEFT + num_parts)


@njit(nogil=True, cache=True)
def share(team, kind, num_rows, num_parts, num_threads):
    """Do the parts of a job together with whoever comes to help.

    Nobody is waited for who has not begun: where the other cores are busy, this thread
    does all parts itself.
    """
    publish(team, kind, num_rows, num_parts)
    first, last = take(team, num_threads)
    while last:
        do(team, first, last)
        add(team, DONE, last - first)
        first, last = take(team, num_threads)
    looks = 0
    while look(team, DONE) < num_parts:
        looks += 1
        if looks > PATIENCE:
            offer_core()


@njit(nogil=True, cache=True)
def dismiss(team, num_helpers):
    """Let the helpers go."""
    put(team, IS_ON, -1)
    for _ in range(num_helpers):
        semaphore_post(team[SEMAPHORE:].ctypes.data)


@njit(nogil=True, cache=True)
def help_out(team, num_threads):
    """Help with each pass until the team is closed. Asleep while there is nothing."""
    semaphore = team[SEMAPHORE:].ctypes.data
    while True:
        offers = 0
        while semaphore_try(semaphore) != 0:
            offers += 1
            if offers > LINGER:
                semaphore_wait(semaphore)
                break
            offer_core()
        looks = 0
        while look(team, IS_ON) == 1:
            first, last = take(team, num_threads)
            if last:
                do(team, first, last)
                add(team, DONE, last - first)
                looks = 0
            looks += 1
            if looks > PATIENCE:
                offer_core()
        if look(team, IS_ON) < 0:
            return


@njit(nogil=True, cache=True)
def multiply_panel(x_NI, num_in, matrices, at, y_NO, panel, adds):
    """Compute one panel of `multiply`."""
    tiles(
        x_NI, 0, x_NI.shape[1], x_NI.shape[0],
        matrices, at + panel * num_in * PANEL, PANEL, num_in,
        y_NO, panel * PANEL, y_NO.shape[1], adds,
    )  # fmt: skip


@njit(nogil=True, cache=True)
def tell_product(x_NI, num_in, matrices, at, y_NO, num_out, adds, team):
    """Write down what `multiply` shall multiply, for `do`."""
    told = FIRST_ADDRESS
    team[told] = x_NI.ctypes.data
    team[told + 1] = x_NI.shape[1]
    team[told + 2] = num_in
    team[told + 3] = matrices[at:].ctypes.data
    team[told + 4] = matrices.itemsize
    team[told + 5] = y_NO.ctypes.data
    team[told + 6] = y_NO.shape[1]
    team[told + 7] = num_out
    team[told + 8] = adds


@njit(nogil=True, cache=True)
def multiply(x_NI, num_in, matrices, at, y_NO, num_out, adds, team, num_threads):
    """y (+)= x @ W.T, W laid out in panels at a place of `matrices`."""
    num_rows, num_panels = x_NI.shape[0], num_out // PANEL
    if num_threads > 1 and num_in * num_out * num_rows >= WORTH_SHARING:
        tell_product(x_NI, num_in, matrices, at, y_NO, num_out, adds, team)
        share(team, PRODUCT, num_rows, num_panels, num_threads)
        return
    for panel in range(num_panels):
        multiply_panel(x_NI, num_in, matrices, at, y_NO, panel, adds)


@njit(nogil=True, cache=True)
def add_bias(y_NO, vectors, at, num_out):
    """Add a bias to each row, where there is one."""
    if at == NOWHERE:
        return
    for row in range(y_NO.shape[0]):
        for i in range(num_out):
            y_NO[row, i] += vectors[at + i]


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def rms_norm(x, y, vectors, at, width, epsilon):
    """Norm one row by its root mean square."""
    squares = np.float32(0)
    for i in range(width):
        squares += x[i] * x[i]
    factor = np.float32(1 / np.sqrt(squares / np.float32(width) + np.float32(epsilon)))
    for i in range(width):
        y[i] = vectors[at + i] * (x[i] * factor)


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def layer_norm(x, y, vectors, at, bias_at, width, epsilon):
    """Norm one row by its mean and variance."""
    total = np.float32(0)
    for i in range(width):
        total += x[i]
    mean = total / np.float32(width)
    squares = np.float32(0)
    for i in range(width):
        squares += (x[i] - mean) * (x[i] - mean)
    factor = np.float32(1 / np.sqrt(squares / np.float32(width) + np.float32(epsilon)))
    for i in range(width):
        y[i] = (x[i] - mean) * factor * vectors[at + i] + vectors[bias_at + i]


@njit(nogil=True, cache=True)
def norm_rows(x_NC, y_NC, vectors, at, bias_at, shape):
    """Norm each row as the model does."""
    for row in range(x_NC.shape[0]):
        if shape.is_gpt2:
            layer_norm(
                x_NC[row], y_NC[row], vectors, at, bias_at, shape.width, shape.epsilon
            )
        else:
            rms_norm(x_NC[row], y_NC[row], vectors, at, shape.width, shape.epsilon)


@njit(nogil=True, cache=True, fastmath={"contract", "nsz"})
def exponentiate(x, powers, num):
    """x[i] = exp(x[i]), as vectors: 2**whole by its bits, 2**rest by a polynomial.

    The polynomial is the Taylor series of 2**f for |f| <= 1/2, exact to float32.
    `powers` is scratch room of whole numbers.
    """
    for i in range(num):
        t = min(
            max(x[i] * np.float32(1.4426950408889634), np.float32(-126)),
            np.float32(126),
        )
        whole = np.floor(t + np.float32(0.5))
        f = t - whole
        p = np.float32(1.5252734e-5)
        p = p * f + np.float32(1.5403530e-4)
        p = p * f + np.float32(1.3333558e-3)
        p = p * f + np.float32(9.6181291e-3)
        p = p * f + np.float32(5.5504109e-2)
        p = p * f + np.float32(2.4022651e-1)
        p = p * f + np.float32(6.9314718e-1)
        x[i] = p * f + np.float32(1)
        powers[i] = (np.int32(whole) + np.int32(127)) << np.int32(23)
    scales = powers.view(np.float32)
    for i in range(num):
        x[i] *= scales[i]


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def softmax(x, powers, num, scale):
    """Turn scores into shares."""
    most = x[0]
    for i in range(num):
        most = max(most, x[i])
    for i in range(num):
        x[i] = (x[i] - most) * np.float32(scale)
    exponentiate(x, powers, num)
    total = np.float32(0)
    for i in range(num):
        total += x[i]
    factor = np.float32(1) / total
    for i in range(num):
        x[i] *= factor


@njit(nogil=True, cache=True, fastmath={"contract", "nsz"})
def gate(up, hidden, powers, ffn):
    """hidden = silu(first half of `up`) * second half, for one row."""
    for i in range(ffn):
        hidden[i] = -up[i]
    exponentiate(hidden, powers, ffn)
    for i in range(ffn):
        hidden[i] = up[i] / (np.float32(1) + hidden[i]) * up[ffn + i]


@njit(nogil=True, cache=True, fastmath={"contract", "nsz"})
def gelu(up, hidden, powers, ffn):
    """hidden = GELU(up) by its tanh formula, for one row."""
    for i in range(ffn):
        x = up[i]
        inner = x + np.float32(0.044715) * x * x * x
        hidden[i] = np.float32(-1.5957691216057308) * inner
    exponentiate(hidden, powers, ffn)
    for i in range(ffn):
        hidden[i] = up[i] / (np.float32(1) + hidden[i])


@njit(nogil=True, cache=True, fastmath={"contract", "nsz"})
def rotate(head, cosines, sines, half):
    """Turn the pairs (i, i + half) of a head by its position's angles (RoPE)."""
    for i in range(half):
        left, right = head[i], head[half + i]
        head[i] = left * cosines[i] - right * sines[i]
        head[half + i] = right * cosines[half + i] + left * sines[half + i]


@njit(nogil=True, cache=True)
def place_heads(
    qkv, slot_keys, slot_values, position, vectors, places, cosines_TD, sines_TD, shape
):
    """Rotate one row's queries and keys; put keys and values where they are kept."""
    D, half = shape.padded_head, shape.head_width // 2
    panel, lane = position // PANEL, position % PANEL
    num_turned = shape.num_heads + shape.num_kv_heads
    for head in range(num_turned):
        one = qkv[head * D : (head + 1) * D]
        if shape.has_head_norms:
            at = places[Q_NORM] if head < shape.num_heads else places[K_NORM]
            rms_norm(one, one, vectors, at, shape.head_width, shape.epsilon)
        if not shape.is_gpt2:
            rotate(one, cosines_TD[position], sines_TD[position], half)
    for head in range(shape.num_kv_heads):
        key_at = (shape.num_heads + head) * D
        value_at = (num_turned + head) * D
        for i in range(shape.head_width):
            slot_keys[panel, head, i, lane] = qkv[key_at + i]
        for i in range(D):
            slot_values[position, head, i] = qkv[value_at + i]


@njit(nogil=True, cache=True)
def attend(qkv, mixed, slot_keys, slot_values, position, scores, powers, shape):
    """Gather, for each head of one row, what the positions up to its own hold."""
    D, T, heads = shape.padded_head, shape.context, shape.num_heads
    num_seen = position + 1
    group = heads // shape.num_kv_heads
    keys, values = slot_keys.reshape(-1), slot_values.reshape(-1)
    key_step, value_step = D * PANEL, shape.num_kv_heads * D
    for start in range(0, num_seen, PANEL):
        at = start // PANEL * shape.num_kv_heads * key_step
        if group == 1:
            tiles_apart(
                qkv, 0, D, heads, keys, at, PANEL, key_step,
                shape.head_width, scores, start, T,
            )  # fmt: skip
        else:
            for head in range(shape.num_kv_heads):
                first = head * group
                tiles(
                    qkv, first * D, D, group, keys, at + head * key_step, PANEL,
                    shape.head_width, scores, first * T + start, T, False,
                )  # fmt: skip
    for head in range(heads):
        softmax(scores[head * T : head * T + T], powers, num_seen, shape.scale)
    for start in range(0, D, PANEL):
        if group == 1:
            tiles_apart(
                scores,
                0,
                T,
                heads,
                values,
                start,
                value_step,
                D,
                num_seen,
                mixed,
                start,
                D,
            )
        else:
            for head in range(shape.num_kv_heads):
                first = head * group
                tiles(
                    scores, first * T, T, group, values, head * D + start, value_step,
                    num_seen, mixed, first * D + start, D, False,
                )  # fmt: skip


@njit(nogil=True, cache=True)
def attend_rows(
    first, last, qkv_N, mixed_N, keys, values, slots_N, positions_N, layer, shape
):
    """`attend` for some of the rows."""
    scores = np.empty(shape.num_heads * shape.context, np.float32)
    powers = np.empty(shape.context, np.int32)
    for row in range(first, last):
        slot = slots_N[row]
        attend(
            qkv_N[row], mixed_N[row], keys[slot, layer], values[slot, layer],
            positions_N[row], scores, powers, shape,
        )  # fmt: skip


@njit(nogil=True, cache=True)
def attend_all(
    qkv_N, mixed_N, keys, values, slots_N, positions_N, layer, shape, team, num_threads
):
    """`attend` for every row, on as many threads as are wanted."""
    num_rows = qkv_N.shape[0]
    if num_threads == 1 or num_rows == 1:
        attend_rows(
            0, num_rows, qkv_N, mixed_N, keys, values, slots_N, positions_N, layer,
            shape,
        )  # fmt: skip
        return
    told = FIRST_ADDRESS
    team[told] = qkv_N.ctypes.data
    team[told + 1] = mixed_N.ctypes.data
    team[told + 2] = keys.ctypes.data
    team[told + 3] = values.ctypes.data
    team[told + 4] = keys.shape[0]
    team[told + 5] = slots_N.ctypes.data
    team[told + 6] = positions_N.ctypes.data
    team[told + 7] = layer
    share(team, ATTENTION, num_rows, num_rows, num_threads)


@njit(nogil=True, cache=True)
def activate_rows(first, last, up_N, hidden_N, shape):
    """`gate` or `gelu` for some of the rows."""
    powers = np.empty(shape.ffn, np.int32)
    for row in range(first, last):
        if shape.is_gpt2:
            gelu(up_N[row], hidden_N[row], powers, shape.ffn)
        else:
            gate(up_N[row], hidden_N[row], powers, shape.ffn)


@njit(nogil=True, cache=True)
def activate_all(up_N, hidden_N, shape, team, num_threads):
    """`gate` or `gelu` for every row, on as many threads as are wanted."""
    num_rows = up_N.shape[0]
    if num_threads == 1 or num_rows == 1:
        activate_rows(0, num_rows, up_N, hidden_N, shape)
        return
    team[FIRST_ADDRESS] = up_N.ctypes.data
    team[FIRST_ADDRESS + 1] = up_N.shape[1]
    team[FIRST_ADDRESS + 2] = hidden_N.ctypes.data
    share(team, HIDDEN, num_rows, num_rows, num_threads)


@njit(nogil=True, cache=True)
def do(team, first, last):
    """Do some parts of the job at hand, as its words tell."""
    kind, N, told = team[KIND], team[NUM_ROWS], FIRST_ADDRESS
    if kind == PRODUCT:
        num_in, num_out, adds = team[told + 2], team[told + 7], team[told + 8] != 0
        x_NI = carray(address(team[told]), (N, team[told + 1]), np.float32)
        y_NO = carray(address(team[told + 5]), (N, team[told + 6]), np.float32)
        size = num_in * num_out
        if team[told + 4] == 4:
            whole = carray(address(team[told + 3]), (size,), np.float32)
            for panel in range(first, last):
                multiply_panel(x_NI, num_in, whole, 0, y_NO, panel, adds)
        else:
            half = carray(address(team[told + 3]), (size,), np.uint16)
            for panel in range(first, last):
                multiply_panel(x_NI, num_in, half, 0, y_NO, panel, adds)
        return
    L, H, K = team[SHAPE], team[SHAPE + 1], team[SHAPE + 2]
    D, F, T = team[SHAPE + 4], team[SHAPE + 5], team[SHAPE + 6]
    shape = Shape(
        L, 0, H, K, team[SHAPE + 3], D, F, T, 0.0, team.view(np.float64)[SHAPE + 7],
        team[SHAPE + 8] != 0, False, 0, 0,
    )  # fmt: skip
    if kind == HIDDEN:
        up_N = carray(address(team[told]), (N, team[told + 1]), np.float32)
        hidden_N = carray(address(team[told + 2]), (N, F), np.float32)
        activate_rows(first, last, up_N, hidden_N, shape)
        return
    S = team[told + 4]
    qkv_N = carray(address(team[told]), (N, (H + 2 * K) * D), np.float32)
    mixed_N = carray(address(team[told + 1]), (N, H * D), np.float32)
    panels = (S, L, T // PANEL, K, D, PANEL)
    keys = carray(address(team[told + 2]), panels, np.float32)
    values = carray(address(team[told + 3]), (S, L, T, K, D), np.float32)
    slots_N = carray(address(team[told + 5]), (N,), np.int64)
    positions_N = carray(address(team[told + 6]), (N,), np.int64)
    attend_rows(
        first, last, qkv_N, mixed_N, keys, values, slots_N, positions_N,
        team[told + 7], shape,
    )  # fmt: skip


@njit(nogil=True, cache=True)
def mix_experts(y_NC, x_NC, matrices, at, powers, shape, team, num_threads):
    """Add what the likeliest experts of each row make of it, by their shares."""
    N, F, num_experts = y_NC.shape[0], shape.ffn, shape.num_experts
    router_NE = np.empty((N, -(-num_experts // PANEL) * PANEL), np.float32)
    multiply(
        y_NC, shape.width, matrices, at[ROUTER], router_NE, router_NE.shape[1],
        False, team, num_threads,
    )  # fmt: skip
    up, hidden = np.empty((1, 2 * F), np.float32), np.empty((1, F), np.float32)
    made = np.empty((1, x_NC.shape[1]), np.float32)
    chosen = np.empty(shape.num_chosen, np.int64)
    shares = np.empty(shape.num_chosen, np.float32)
    for row in range(N):
        for place in range(shape.num_chosen):
            best = 0
            for expert in range(1, num_experts):
                if router_NE[row, expert] > router_NE[row, best]:
                    best = expert
            chosen[place], shares[place] = best, router_NE[row, best]
            router_NE[row, best] = -np.inf
        softmax(shares, powers, shape.num_chosen, 1.0)
        for place in range(shape.num_chosen):
            first = FIRST_EXPERT + 2 * chosen[place]
            multiply(
                y_NC[row : row + 1], shape.width, matrices, at[first], up, 2 * F,
                False, team, num_threads,
            )  # fmt: skip
            gate(up[0], hidden[0], powers, F)
            multiply(
                hidden, F, matrices, at[first + 1], made, made.shape[1],
                False, team, num_threads,
            )  # fmt: skip
            for i in range(shape.width):
                x_NC[row, i] += shares[place] * made[0, i]


@njit(nogil=True, cache=True)
def run_layers(
    x_NC, slots_N, positions_N, keys, values,
    matrices, matrix_places, vectors, vector_places, cosines_TD, sines_TD, shape,
    team, num_threads,
):  # fmt: skip
    """Take rows through all layers, in place; keys and values are kept in their slots.

    `keys` is [slot, layer, T / PANEL, K, D, PANEL] and `values` [slot, layer, T,
    K, D]: what one step of a sum reads lies together.
    """
    N = x_NC.shape[0]
    D, F = shape.padded_head, shape.ffn
    num_qkv = (shape.num_heads + 2 * shape.num_kv_heads) * D
    num_mixed = shape.num_heads * D
    num_up = F if shape.is_gpt2 else 2 * F
    width = x_NC.shape[1]
    y_NC = np.empty_like(x_NC)
    qkv_N = np.empty((N, num_qkv), np.float32)
    mixed_N = np.empty((N, num_mixed), np.float32)
    up_N = np.empty((N, num_up), np.float32)
    hidden_N = np.empty((N, F), np.float32)
    powers = np.empty(F, np.int32)
    for layer in range(shape.num_layers):
        at, small = matrix_places[layer], vector_places[layer]
        norm_rows(x_NC, y_NC, vectors, small[NORM_1], small[NORM_1_BIAS], shape)
        multiply(
            y_NC, shape.width, matrices, at[QKV], qkv_N, num_qkv, False,
            team, num_threads,
        )  # fmt: skip
        add_bias(qkv_N, vectors, small[QKV_BIAS], num_qkv)
        for row in range(N):
            place_heads(
                qkv_N[row], keys[slots_N[row], layer], values[slots_N[row], layer],
                positions_N[row], vectors, small, cosines_TD, sines_TD, shape,
            )  # fmt: skip
        attend_all(
            qkv_N, mixed_N, keys, values, slots_N, positions_N, layer, shape,
            team, num_threads,
        )  # fmt: skip
        multiply(
            mixed_N, num_mixed, matrices, at[OUT], x_NC, width, True, team, num_threads
        )
        add_bias(x_NC, vectors, small[OUT_BIAS], shape.width)
        norm_rows(x_NC, y_NC, vectors, small[NORM_2], small[NORM_2_BIAS], shape)
        if shape.num_experts:
            mix_experts(y_NC, x_NC, matrices, at, powers, shape, team, num_threads)
            continue
        multiply(
            y_NC, shape.width, matrices, at[UP], up_N, num_up, False, team, num_threads
        )
        add_bias(up_N, vectors, small[UP_BIAS], num_up)
        activate_all(up_N, hidden_N, shape, team, num_threads)
        multiply(hidden_N, F, matrices, at[DOWN], x_NC, width, True, team, num_threads)
        add_bias(x_NC, vectors, small[DOWN_BIAS], shape.width)


@njit(nogil=True, cache=True)
def run(
    x_NC, slots_N, positions_N, wanted_W, keys, values,
    matrices, matrix_places, head_place,
    vectors, vector_places, norm_place, norm_bias_place,
    cosines_TD, sines_TD, shape, num_logits, team, num_threads,
):  # fmt: skip
    """Take rows through the model; return logits_WV of the wanted ones.

    One call: a token's weights push all else out of the caches, so whatever Python does
    between two calls takes five times as long as it seems to when measured alone.
    """
    if num_threads > 1:
        begin_pass(team, shape, num_threads)
    run_layers(
        x_NC, slots_N, positions_N, keys, values, matrices, matrix_places,
        vectors, vector_places, cosines_TD, sines_TD, shape, team, num_threads,
    )  # fmt: skip
    x_WC = x_NC[wanted_W]
    y_WC = np.empty_like(x_WC)
    norm_rows(x_WC, y_WC, vectors, norm_place, norm_bias_place, shape)
    logits_WV = np.empty((x_WC.shape[0], num_logits), np.float32)
    multiply(
        y_WC, shape.width, matrices, head_place, logits_WV, num_logits, False,
        team, num_threads,
    )  # fmt: skip
    if num_threads > 1:
        end_pass(team)
    return logits_WV


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def summarise_row(logits, distances, shares, powers):
    """Return the likeliest token, its logit, log of the sum of exponentials, entropy.

    With d = logit - largest: log Z = largest + log S, S = sum of exp d, and the entropy
    is log S - sum of d exp d / S. Distances below -10,000 count as that.
    """
    num = logits.shape[0]
    largest = logits[0]
    for i in range(num):
        largest = max(largest, logits[i])
    for i in range(num):
        distances[i] = max(logits[i] - largest, np.float32(-1e4))
        shares[i] = distances[i]
    exponentiate(shares, powers, num)
    total, weighted = np.float32(0), np.float32(0)
    for i in range(num):
        total += shares[i]
        weighted += shares[i] * distances[i]
    best = 0
    while best < num - 1 and logits[best] != largest:
        best += 1
    log_total = largest + np.log(total)
    return best, logits[best], log_total, np.log(total) - weighted / total


@njit(nogil=True, cache=True)
def summarise(logits_BV):
    """Summarise each row: (likeliest tokens, their logits, logs of sums, entropies)."""
    num_rows, num = logits_BV.shape
    best_B = np.empty(num_rows, np.int64)
    logit_B = np.empty(num_rows, np.float32)
    log_total_B = np.empty(num_rows, np.float32)
    entropy_B = np.empty(num_rows, np.float32)
    distances, shares = np.empty(num, np.float32), np.empty(num, np.float32)
    powers = np.empty(num, np.int32)
    for row in range(num_rows):
        best_B[row], logit_B[row], log_total_B[row], entropy_B[row] = summarise_row(
            logits_BV[row], distances, shares, powers
        )
    return best_B, logit_B, log_total_B, entropy_B
