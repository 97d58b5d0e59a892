# SPDX-License-Identifier: Apache-2.0
"""Train a well-known model, built from its configuration (nothing is downloaded); print the loss of each step.

    python tests/torch/models.py bert|vit|swin [--steps N] [--device cuda]
"""

import argparse

import torch


def bert():
    """Post-norm encoder with a masked-language head; every second layer's norms are frozen."""
    import transformers

    config = transformers.BertConfig(
        vocab_size=100, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
        attn_implementation="eager", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    model = transformers.BertForMaskedLM(config)
    for parameter in model.bert.encoder.layer[1].attention.output.LayerNorm.parameters():
        parameter.requires_grad_(False)

    def loss(device, generator):
        tokens = torch.randint(100, (4, 16), generator=generator).to(device)
        return model(input_ids=tokens, labels=tokens).loss

    return model, loss


def vit():
    """Pre-norm vision transformer."""
    import timm

    model = timm.models.VisionTransformer(
        img_size=32, patch_size=8, num_classes=10, embed_dim=96, depth=2, num_heads=3, mlp_ratio=2.0
    )
    for block in model.blocks:
        block.attn.fused_attn = False
    return model, classify(model)


def swin():
    """Windows with norms of several widths."""
    import torchvision

    model = torchvision.models.SwinTransformer(
        patch_size=[4, 4], embed_dim=24, depths=[1, 1], num_heads=[2, 4], window_size=[4, 4], num_classes=10,
        stochastic_depth_prob=0.0,
    )  # fmt: skip
    return model, classify(model)


def classify(model):
    def loss(device, generator):
        images = torch.randn(4, 3, 32, 32, generator=generator).to(device)
        labels = torch.randint(10, (4,), generator=generator).to(device)
        return torch.nn.functional.cross_entropy(model(images), labels)

    return loss


def main():
    models = {model.__name__: model for model in (bert, vit, swin)}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=models)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()

    torch.manual_seed(0)
    model, loss_of = models[arguments.model]()
    model.to(arguments.device).train()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.05)
    for _ in range(arguments.steps):
        loss = loss_of(arguments.device, torch.Generator().manual_seed(1))  # the same batch each time: the loss must fall
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"{loss.item():.7f}", flush=True)


if __name__ == "__main__":
    main()
