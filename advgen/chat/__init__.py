"""Chat models: messages in, one reply out, whichever program the model runs in."""

from advgen.chat.lists import DroppedLine, ListReply, parse_list
from advgen.chat.loading import load_chat
from advgen.chat.prompt import ChatPrompt, load_prompt
from advgen.chat.protocol import ChatModel, ChatOptions, Message, Reply

__all__ = [
    "ChatModel",
    "ChatOptions",
    "ChatPrompt",
    "DroppedLine",
    "ListReply",
    "Message",
    "Reply",
    "load_chat",
    "load_prompt",
    "parse_list",
]
