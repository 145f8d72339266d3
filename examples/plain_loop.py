"""A plain PyTorch loop, watched: python examples/plain_loop.py, then torchglass ui."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

import torchglass

EPOCHS = 5

torch.manual_seed(0)
digits = load_digits()
pictures = torch.tensor(digits.images / 16, dtype=torch.float32).unsqueeze(1)  # (1797, 1, 8, 8), 0..1
train_set, test_set = random_split(TensorDataset(pictures, torch.tensor(digits.target)), [1500, 297])
loader = DataLoader(train_set, batch_size=50, shuffle=True)
test_pictures, test_labels = test_set[:]

model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(16, 32, 3, padding=1),
    nn.ReLU(),
    nn.Flatten(),
    nn.Linear(32 * 4 * 4, 10),
)
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
criterion = nn.CrossEntropyLoss()

# This line is all that watching takes; `run.batches` and `run.log` are optional.
with torchglass.attach(model, optimizer, run="plain-loop", config={"epochs": EPOCHS}) as run:
    for epoch in range(EPOCHS):
        model.train()
        for images, labels in run.batches(loader):
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            run.log(loss=loss)
        model.eval()
        with torch.no_grad():
            accuracy = (model(test_pictures).argmax(1) == test_labels).float().mean()
        run.log({"test/accuracy": accuracy})
        print(f"epoch {epoch + 1}: test accuracy {accuracy:.1%}")

print("look at the run 'plain-loop': torchglass ui")
