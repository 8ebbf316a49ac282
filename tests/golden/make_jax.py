#!/usr/bin/env python3
"""Writes jax_square.safetensors and jax_same.safetensors beside this script: the chapter's JAX tab. README.md says what is in them."""
import math

import flax
import jax
import numpy as np
import optax
from flax import linen as nn
from jax import numpy as jnp

from make_golden import f64, save
from make_resnet import formula

jax.config.update('jax_enable_x64', True)
emb_dropout = 0.1  # the chapter's ViT reads this global one, and not its field of the same name

# ---- The chapter's classes, and MultiHeadAttention of d2l/jax.py without valid_lens -------------------------------


class MultiHeadAttention(nn.Module):
    num_hiddens: int
    num_heads: int
    dropout: float
    bias: bool = False

    def setup(self):
        self.W_q = nn.Dense(self.num_hiddens, use_bias=self.bias)
        self.W_k = nn.Dense(self.num_hiddens, use_bias=self.bias)
        self.W_v = nn.Dense(self.num_hiddens, use_bias=self.bias)
        self.W_o = nn.Dense(self.num_hiddens, use_bias=self.bias)

    @nn.compact
    def __call__(self, queries, keys, values, training=False):
        queries, keys, values = (self.transpose_qkv(X) for X in (self.W_q(queries), self.W_k(keys), self.W_v(values)))
        scores = queries @ keys.swapaxes(1, 2) / math.sqrt(queries.shape[-1])
        weights = nn.Dropout(self.dropout, deterministic=not training)(nn.softmax(scores))
        X = weights @ values
        X = X.reshape((-1, self.num_heads, X.shape[1], X.shape[2])).transpose(0, 2, 1, 3)
        return self.W_o(X.reshape(X.shape[0], X.shape[1], -1))

    def transpose_qkv(self, X):
        X = X.reshape((X.shape[0], X.shape[1], self.num_heads, -1)).transpose(0, 2, 1, 3)
        return X.reshape((-1, X.shape[2], X.shape[3]))


def pair(x):
    return tuple(x) if isinstance(x, (list, tuple)) else (x, x)


class PatchEmbedding(nn.Module):
    img_size: int = 96
    patch_size: int = 16
    num_hiddens: int = 512

    def setup(self):
        # The chapter rounds down here, so that its ViT stops with an exception where there is something to pad.
        self.num_patches = math.prod(-(-i // p) for i, p in zip(pair(self.img_size), pair(self.patch_size)))
        self.conv = nn.Conv(self.num_hiddens, kernel_size=pair(self.patch_size), strides=pair(self.patch_size),
                            padding='SAME')

    def __call__(self, X):
        X = self.conv(X)
        return X.reshape((X.shape[0], -1, X.shape[3]))


class ViTMLP(nn.Module):
    mlp_num_hiddens: int
    mlp_num_outputs: int
    dropout: float = 0.5

    @nn.compact
    def __call__(self, x, training=False):
        x = nn.Dense(self.mlp_num_hiddens)(x)
        x = nn.gelu(x)
        x = nn.Dropout(self.dropout, deterministic=not training)(x)
        x = nn.Dense(self.mlp_num_outputs)(x)
        x = nn.Dropout(self.dropout, deterministic=not training)(x)
        return x


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
    def __call__(self, X, training=False):
        X = X + self.attention(*([nn.LayerNorm()(X)] * 3), training=training)
        return X + self.mlp(nn.LayerNorm()(X), training=training)


class ViT(nn.Module):
    img_size: int
    patch_size: int
    num_hiddens: int
    mlp_num_hiddens: int
    num_heads: int
    num_blks: int
    blk_dropout: float
    use_bias: bool = False
    num_classes: int = 10
    training: bool = False

    def setup(self):
        self.patch_embedding = PatchEmbedding(self.img_size, self.patch_size, self.num_hiddens)
        self.cls_token = self.param('cls_token', nn.initializers.zeros, (1, 1, self.num_hiddens))
        num_steps = self.patch_embedding.num_patches + 1  # Add the cls token
        self.pos_embedding = self.param('pos_embed', nn.initializers.normal(), (1, num_steps, self.num_hiddens))
        self.blks = [ViTBlock(self.num_hiddens, self.mlp_num_hiddens, self.num_heads, self.blk_dropout, self.use_bias)
                     for _ in range(self.num_blks)]
        self.head = nn.Sequential([nn.LayerNorm(), nn.Dense(self.num_classes)])

    @nn.compact
    def __call__(self, X):
        X = self.patch_embedding(X)
        X = jnp.concatenate((jnp.tile(self.cls_token, (X.shape[0], 1, 1)), X), 1)
        X = nn.Dropout(emb_dropout, deterministic=not self.training)(X + self.pos_embedding)
        for blk in self.blks:
            X = blk(X, training=self.training)
        return self.head(X[:, 0])

# ---- Flax's names and axes, and ours: the table of README.md -----------------------------------------------------


PARTS = {'pos_embed': 'pos_embedding', 'LayerNorm_0': 'ln1', 'LayerNorm_1': 'ln2', 'Dense_0': 'dense1', 'Dense_1': 'dense2',
         'layers_0': '0', 'layers_1': '1', 'kernel': 'weight', 'scale': 'weight'}
AXES = {2: (1, 0), 4: (3, 2, 0, 1)}  # of a kernel: (in, out) -> (out, in); (h, w, in, out) -> (out, in, h, w)


def our_names(params):
    out = {}
    for path, x in flax.traverse_util.flatten_dict(params).items():
        parts = [part.replace('blks_', 'blks.') for part in path]
        axes = AXES[x.ndim] if path[-1] == 'kernel' else range(x.ndim)
        out['.'.join(PARTS.get(part, part) for part in parts)] = np.transpose(x, axes)
    return out

# ---- Files -------------------------------------------------------------------------------------------------------


def randomised(params, rng):
    """Draws every parameter anew, so that none stays 0 or 1; numbers that are exactly float32."""
    def drawn(path, x):
        name, z = path[-1].key, rng.standard_normal(x.shape)
        z = {'kernel': z / math.sqrt(x.size / x.shape[-1]), 'scale': 1 + z / 4, 'bias': z / 4}.get(name, z)
        return jnp.asarray(z.astype(np.float32), jnp.float64)
    return jax.tree_util.tree_map_with_path(drawn, params)


def golden_jax(file, seed, batch, channels, steps=20, **config):
    model = ViT(blk_dropout=0.1, **config)
    height, width = pair(config['img_size'])
    images = (height, width, channels)
    params = randomised(model.init(jax.random.key(0), jnp.zeros((1, *images)))['params'], np.random.default_rng(seed))
    # (B, C, H, W), as we have them
    all_X = formula(seed << 20, steps * batch * math.prod(images)).astype(np.float64).reshape(steps, batch, channels, height, width)
    all_y = np.arange(steps * batch).reshape(steps, batch) * 7 % config['num_classes']

    def loss_and_logits(params, X, y):
        logits = model.apply({'params': params}, jnp.transpose(X, (0, 2, 3, 1)))
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), logits

    step = jax.jit(jax.value_and_grad(loss_and_logits, has_aux=True))
    (loss, logits), grads = step(params, all_X[0], all_y[0])
    out = {'logits': logits, **{f'weights/{name}': x for name, x in our_names(params).items()},
           **{f'grads/{name}': x for name, x in our_names(grads).items()}}
    out = {name: np.ascontiguousarray(np.where(np.abs(x).max() < 1e-12, 0, x), np.float32) for name, x in out.items()}
    losses, sgd = [], optax.sgd(0.1)
    state = sgd.init(params)
    for X, y in zip(all_X, all_y):
        (value, _), grads = step(params, X, y)
        losses.append(value.item())
        updates, state = sgd.update(grads, state)
        params = optax.apply_updates(params, updates)
    text = {name: ' '.join(map(str, pair(x))) if name.endswith('_size') else x for name, x in config.items()}
    save(file, {**out, 'loss': f64(loss), 'steps/loss': f64(losses)}, **dict(
        text, use_bias=int(config['use_bias']), num_channels=channels, batch_size=batch, begin=seed << 20))


if __name__ == '__main__':
    print('JAX', jax.__version__, 'Flax', flax.__version__)
    golden_jax('jax_square.safetensors', 1, 4, 1, img_size=12, patch_size=4, num_hiddens=16, mlp_num_hiddens=24,
               num_heads=4, num_blks=2, use_bias=False, num_classes=10)
    golden_jax('jax_same.safetensors', 2, 3, 3, img_size=(9, 7), patch_size=4, num_hiddens=12, mlp_num_hiddens=20,
               num_heads=2, num_blks=2, use_bias=True, num_classes=5)
