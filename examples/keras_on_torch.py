"""Keras on the torch backend, watched by a callback: python examples/keras_on_torch.py, then torchglass ui."""

import os

os.environ["KERAS_BACKEND"] = "torch"  # before Keras is imported: it chooses once

import keras
from sklearn.datasets import load_digits

from torchglass.bridges.keras import TorchglassCallback

keras.utils.set_random_seed(0)
digits = load_digits()
pictures = digits.images[..., None].astype("float32") / 16  # (1797, 8, 8, 1), 0..1

model = keras.Sequential(
    [
        keras.layers.Input((8, 8, 1)),
        keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
        keras.layers.Dense(10),
    ]
)
model.compile(
    keras.optimizers.AdamW(3e-3),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
history = model.fit(
    pictures[:1500],
    digits.target[:1500],
    batch_size=50,
    epochs=5,
    validation_data=(pictures[1500:], digits.target[1500:]),
    callbacks=[TorchglassCallback("keras-on-torch")],
    verbose=0,
)

print(f"validation accuracy {history.history['val_accuracy'][-1]:.1%}")
print("look at the run 'keras-on-torch': torchglass ui")
