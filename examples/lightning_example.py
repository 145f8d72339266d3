"""Lightning, watched by a logger and a callback: python examples/lightning_example.py, then torchglass ui."""

import lightning
import torch
from sklearn.datasets import load_breast_cancer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset, random_split

from torchglass.bridges.lightning import TorchglassCallback, TorchglassLogger

Batch = list[Tensor]


class Classifier(lightning.LightningModule):
    """Two layers that tell benign tumours from malignant ones by thirty measurements."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 2))

    def training_step(self, batch: Batch) -> Tensor:
        measurements, labels = batch
        loss = nn.functional.cross_entropy(self.layers(measurements), labels)
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: Batch) -> None:
        measurements, labels = batch
        self.log("val/accuracy", (self.layers(measurements).argmax(1) == labels).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


lightning.seed_everything(0, verbose=False)
tumours = load_breast_cancer()
measurements = torch.tensor(tumours.data, dtype=torch.float32)
measurements = (measurements - measurements.mean(0)) / measurements.std(0)
parts = random_split(TensorDataset(measurements, torch.tensor(tumours.target)), [469, 100])
train_loader, val_loader = DataLoader(parts[0], batch_size=32, shuffle=True), DataLoader(parts[1], batch_size=100)

trainer = lightning.Trainer(
    max_epochs=5,
    logger=TorchglassLogger("lightning-example"),
    callbacks=[TorchglassCallback()],
    accelerator="cpu",
    log_every_n_steps=1,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(Classifier(), train_loader, val_loader)

print(f"validation accuracy {trainer.callback_metrics['val/accuracy']:.1%}")
print("look at the run 'lightning-example': torchglass ui")
