"""JAX's side of bench_peers.py: the chapter's other tab, in Flax, and a step of it for each line on stdin.

A line is "train" or "eval"; the answer is the step's seconds. The first line on stdout names the peer.

    peer_jax.py float32|bfloat16 THREADS BATCH_SIZE whole|class-token

The model is the tab's, with its names, its inputs (batch, height, width, channels) and its GELU (the tanh approximation).
Left out are masks, for there are none here. Added is `last_block_cls_only`, as in tests/golden/chapter.py.
"""
import functools, math, os, sys, time

import jax, optax
from flax import linen as nn
from jax import numpy as jnp


Dense = nn.Dense


def bfloat16_product(a, b, dimensions, precision=None, preferred_element_type=None):
    """lax.dot_general of operands rounded to bfloat16, with sums and result in float32, for Dense layers.

    JAX 0.10's other ways are slower on a CPU: with jax_default_matmul_precision set to bfloat16, BF16_BF16_F32 or
    BF16_BF16_F32_X3 the products are float32's to the bit, and Dense(dtype=bfloat16) took longer, 1.2 times in training and
    2.6 times in evaluation. Attention's products are small, and stay in float32.
    """
    a, b = a.astype(jnp.bfloat16), b.astype(jnp.bfloat16)
    return jax.lax.dot_general(a, b, dimensions, preferred_element_type=jnp.float32)


class DotProductAttention(nn.Module):
    dropout: float

    @nn.compact
    def __call__(self, queries, keys, values, training=False):
        scores = queries @ keys.swapaxes(1, 2) / math.sqrt(queries.shape[-1])
        attention_weights = nn.softmax(scores)
        return nn.Dropout(self.dropout, deterministic=not training)(attention_weights) @ values


class MultiHeadAttention(nn.Module):
    num_hiddens: int
    num_heads: int
    dropout: float
    bias: bool = False

    def setup(self):
        self.attention = DotProductAttention(self.dropout)
        self.W_q, self.W_k, self.W_v, self.W_o = (Dense(self.num_hiddens, use_bias=self.bias) for _ in range(4))

    def __call__(self, queries, keys, values, training=False):
        queries, keys, values = map(self.transpose_qkv, (self.W_q(queries), self.W_k(keys), self.W_v(values)))
        return self.W_o(self.transpose_output(self.attention(queries, keys, values, training=training)))

    def transpose_qkv(self, X):
        """(B, T, C) to (B * heads, T, C / heads)."""
        X = X.reshape(X.shape[0], X.shape[1], self.num_heads, -1).transpose(0, 2, 1, 3)
        return X.reshape(-1, X.shape[2], X.shape[3])

    def transpose_output(self, X):
        """The way back: (B * heads, T, C / heads) to (B, T, C)."""
        X = X.reshape(-1, self.num_heads, X.shape[1], X.shape[2]).transpose(0, 2, 1, 3)
        return X.reshape(X.shape[0], X.shape[1], -1)


class PatchEmbedding(nn.Module):
    img_size: int = 96
    patch_size: int = 16
    num_hiddens: int = 512

    def setup(self):
        self.num_patches = (self.img_size // self.patch_size) ** 2
        patch = self.patch_size, self.patch_size
        self.conv = nn.Conv(self.num_hiddens, kernel_size=patch, strides=patch, padding='SAME')

    def __call__(self, X):
        # Output shape: (batch size, no. of patches, no. of channels)
        X = self.conv(X)
        return X.reshape(X.shape[0], -1, X.shape[3])


class ViTMLP(nn.Module):
    mlp_num_hiddens: int
    mlp_num_outputs: int
    dropout: float = 0.5

    @nn.compact
    def __call__(self, x, training=False):
        x = nn.gelu(Dense(self.mlp_num_hiddens)(x))
        x = nn.Dropout(self.dropout, deterministic=not training)(x)
        x = Dense(self.mlp_num_outputs)(x)
        return nn.Dropout(self.dropout, deterministic=not training)(x)


class ViTBlock(nn.Module):
    num_hiddens: int
    mlp_num_hiddens: int
    num_heads: int
    dropout: float
    use_bias: bool = False

    def setup(self):
        self.attention = MultiHeadAttention(self.num_hiddens, self.num_heads, self.dropout, self.use_bias)
        self.mlp = ViTMLP(self.mlp_num_hiddens, self.num_hiddens, self.dropout)

    @nn.compact
    def __call__(self, X, training=False, cls_only=False):
        Z = nn.LayerNorm()(X)
        queries = slice(0, 1) if cls_only else slice(None)
        X = X[:, queries] + self.attention(Z[:, queries], Z, Z, training=training)
        return X + self.mlp(nn.LayerNorm()(X), training=training)


class ViT(nn.Module):
    """Vision Transformer."""
    img_size: int
    patch_size: int
    num_hiddens: int
    mlp_num_hiddens: int
    num_heads: int
    num_blks: int
    emb_dropout: float
    blk_dropout: float
    use_bias: bool = False
    num_classes: int = 10
    last_block_cls_only: bool = False

    def setup(self):
        self.patch_embedding = PatchEmbedding(self.img_size, self.patch_size, self.num_hiddens)
        self.cls_token = self.param('cls_token', nn.initializers.zeros, (1, 1, self.num_hiddens))
        num_steps = self.patch_embedding.num_patches + 1  # Add the cls token
        # Positional embeddings are learnable
        self.pos_embedding = self.param('pos_embed', nn.initializers.normal(), (1, num_steps, self.num_hiddens))
        self.blks = [ViTBlock(self.num_hiddens, self.mlp_num_hiddens, self.num_heads, self.blk_dropout, self.use_bias)
                     for _ in range(self.num_blks)]
        self.head = nn.Sequential([nn.LayerNorm(), Dense(self.num_classes)])

    @nn.compact
    def __call__(self, X, training=False):
        X = self.patch_embedding(X)
        X = jnp.concatenate((jnp.tile(self.cls_token, (X.shape[0], 1, 1)), X), 1)
        X = nn.Dropout(self.emb_dropout, deterministic=not training)(X + self.pos_embedding)
        for blk in self.blks:
            X = blk(X, training=training, cls_only=self.last_block_cls_only and blk is self.blks[-1])
        return self.head(X[:, 0])


def make_steps(precision, batch_size, whole):
    """Two functions without arguments, "train" and "eval", that return when their result is there."""
    if precision == 'bfloat16':
        global Dense
        Dense = functools.partial(nn.Dense, dot_general=bfloat16_product)
    model = ViT(96, 16, 512, 2048, 8, 2, 0.1, 0.1, last_block_cls_only=not whole)
    key = jax.random.key(0)
    X, y = jax.random.uniform(key, (batch_size, 96, 96, 1)), jnp.arange(batch_size) % 10
    params = model.init(key, X)
    sgd = optax.sgd(0.001)

    # The parameters are donated: the new ones take the place of the old ones.
    @functools.partial(jax.jit, donate_argnums=0)
    def train_step(state, X, y):
        params, sgd_state, key = state
        key, dropout_key = jax.random.split(key)

        def loss(params):
            logits = model.apply(params, X, training=True, rngs={'dropout': dropout_key})
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

        updates, sgd_state = sgd.update(jax.grad(loss)(params), sgd_state)
        return optax.apply_updates(params, updates), sgd_state, key

    state = params, sgd.init(params), key
    logits = jax.jit(model.apply)

    def train():
        nonlocal state
        state = jax.block_until_ready(train_step(state, X, y))

    def evaluate():
        return jax.block_until_ready(logits(state[0], X))

    return {'train': train, 'eval': evaluate}


if __name__ == '__main__':
    precision, threads, batch_size, last_block = sys.argv[1:]
    # JAX has no setting for the number of threads: it takes as many as the process may use cores.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:int(threads)])
    steps = make_steps(precision, int(batch_size), last_block == 'whole')
    import flax
    print(f'JAX {jax.__version__}, Flax {flax.__version__}' + f', {precision}' * (precision != 'float32'), flush=True)
    for line in sys.stdin:
        begin = time.perf_counter()
        steps[line.strip()]()
        print(f'{time.perf_counter() - begin:.6f}', flush=True)
