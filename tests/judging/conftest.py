from doubles.judges import judges_known as judges_known
from doubles.judges import said as said
from doubles.judges import tiny_llava as tiny_llava
from doubles.judges import tiny_owlv2 as tiny_owlv2
from doubles.judges import tiny_qwen as tiny_qwen
from doubles.judges import write_run as write_run
