"""What the two sides train: networks, batches, and how many steps a round takes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    network: str  # lockstep's name; for pictures timm's too
    batch: int
    lockstep_steps: int  # of a round, of one process on two AVX-512 cores: some seconds of each
    torch_steps: int
    image: int = 0  # pixels of random colour pictures; 0: Fashion-MNIST
    memory_formats: bool = True  # whether channels first or last is PyTorch's user's choice

    @property
    def pictures(self):
        return self.image > 0


TASKS = {
    "mlp": Task("mlp", 100, 4000, 2000, memory_formats=False),
    "cnn": Task("cnn", 128, 200, 140),
    "resnet18-32": Task("resnet18", 128, 30, 15, image=32),
    "resnet18-224": Task("resnet18", 32, 5, 3, image=224),
    "resnet34-224": Task("resnet34", 32, 3, 2, image=224),
    "resnet50-224": Task("resnet50", 16, 4, 3, image=224),
    "efficientnet_b0-224": Task("efficientnet_b0", 32, 4, 3, image=224),
    "convnext_tiny-224": Task("convnext_tiny", 32, 2, 1, image=224),
    # On a GPU: batches that fill it, rows in its memory.
    "mlp-gpu": Task("mlp", 128, 2000, 1000, memory_formats=False),
    "cnn-gpu": Task("cnn", 128, 1000, 500),
    "resnet50-gpu": Task("resnet50", 256, 10, 10, image=224),
}
SMALL = ["mlp", "cnn"]

CLASSES = 10  # of the random pictures
MEAN, STD = 0.5, 0.25
LR, MOMENTUM = 0.01, 0.9  # SGD for pictures; the small networks have Adam
