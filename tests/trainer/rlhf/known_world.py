"""A world of 85 answers whose best policy is known in closed form.

Answers have at most three of five tokens, and token 0 ends one. The policy that earns
most reward less beta times its KL to the reference is pi* ~ reference·exp(reward/beta)
over whole answers (Ziegler et al. 2019), so how far a trained one is from it is a sum.
"""

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from trainer.rlhf.ppo import Learner, Settings, critic_of, minibatches
from trainer.rlhf.sampling import Rollout
from transformers import LlamaConfig, LlamaForCausalLM

TOKENS, LONGEST, END = 5, 3, 0
PROMPT = [1, 2]
Answer = tuple[int, ...]


def all_answers() -> list[Answer]:
    """Return every answer there is: ended, or cut at the longest length."""
    words = range(1, TOKENS)
    ended = [
        (*start, END)
        for length in range(LONGEST)
        for start in itertools.product(words, repeat=length)
    ]
    return ended + list(itertools.product(words, repeat=LONGEST))


ANSWERS = all_answers()
NUMBERS = {answer: number for number, answer in enumerate(ANSWERS)}


def tiny_policy(seed: int = 3) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=TOKENS,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=16,
        initializer_range=0.15,
        bos_token_id=None,
        eos_token_id=None,
    )
    return LlamaForCausalLM(config)


@torch.no_grad()
def distribution(policy: LlamaForCausalLM) -> Tensor:
    """Return the probability of each answer, in fp64."""
    logprobs = torch.empty(len(ANSWERS), dtype=torch.float64)
    for number, answer in enumerate(ANSWERS):
        ids = torch.tensor([[*PROMPT, *answer]])
        said = policy(input_ids=ids).logits[0].double().log_softmax(-1)
        places = range(len(PROMPT) - 1, ids.shape[1] - 1)
        logprobs[number] = sum(said[at, ids[0, at + 1]] for at in places)
    probabilities = logprobs.exp()
    assert abs(float(probabilities.sum()) - 1) < 1e-6
    return probabilities


def best_policy(reference: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """Return what no other policy earns more than: reference·exp(rewards/beta)."""
    weights = reference * (rewards.double() / beta).exp()
    return weights / weights.sum()


def variation(left: Tensor, right: Tensor) -> float:
    """Return the total variation of two distributions: 0 the same, 1 disjoint."""
    return float((left - right).abs().sum() / 2)


def earned(policy: Tensor, reference: Tensor, rewards: Tensor, beta: float) -> float:
    """Return the mean reward less beta times the KL: what is maximised."""
    kl = (policy * (policy / reference).log()).sum()
    return float((policy * rewards).sum() - beta * kl)


@torch.no_grad()
def draw(
    policy: LlamaForCausalLM, num: int, generator: torch.Generator
) -> list[Rollout]:
    """Draw answers from a policy itself."""
    ids = torch.tensor([PROMPT] * num)
    for _ in range(LONGEST):
        said = policy(input_ids=ids).logits[:, -1].softmax(-1)
        ids = torch.cat([ids, torch.multinomial(said, 1, generator=generator)], dim=1)
    found = []
    for row in ids[:, len(PROMPT) :].tolist():
        length = row.index(END) + 1 if END in row else LONGEST
        found.append(Rollout(PROMPT, row[:length], [0.0] * length, END in row))
    return found


@dataclass
class World:
    """Trains a policy by PPO on rewards of whole answers."""

    rewards: Tensor
    settings: Settings
    rounds: int = 80
    answers: int = 192
    passes: int = 3
    parts: int = 2
    rate: float = 3e-3
    seed: int = 0
    foreseen: list[float] = field(default_factory=list)
    """The variance of the returns that the values explained, round by round."""

    def train(self) -> Learner:
        policy = tiny_policy()
        critic = critic_of(policy)
        learner = Learner(policy, critic, copy.deepcopy(policy), self.settings)
        parameters = [*policy.parameters(), *critic.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=self.rate, weight_decay=0.0)
        schedule = torch.optim.lr_scheduler.LinearLR(
            optimizer, 1.0, 0.05, self.rounds * self.passes * self.parts
        )
        generator = torch.Generator().manual_seed(self.seed)
        for number in range(self.rounds):
            rollouts = draw(policy, self.answers, generator)
            scores = self.scores(rollouts)
            made, seen = learner.experience(rollouts, scores, at_once=self.answers)
            self.foreseen.append(seen["explained_variance"])
            for turn in range(self.passes):
                seed = number * self.passes + turn
                for rows in minibatches(self.answers, self.parts, seed=seed):
                    losses = learner.losses(made.pick(rows))
                    optimizer.zero_grad()
                    (losses.policy + losses.value).backward()
                    torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
                    optimizer.step()
                    schedule.step()
        return learner

    def scores(self, rollouts: Sequence[Rollout]) -> Tensor:
        places = [NUMBERS[tuple(one.ids)] for one in rollouts]
        return self.rewards[places].float()
