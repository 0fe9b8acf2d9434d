"""The program of a Python worker; executed by tensord's spawner as `python -I -B start.py MODE ENGINE_DIR`.

It must run on any Python far enough to say which one is too old.
"""
import os
import sys

LAST_WORDS = 8  # a pipe: why the worker cannot start, as a sentence


def refuse(sentence):
    """Ends the process; the server reads the sentence."""
    os.write(LAST_WORDS, sentence.encode()[:250])
    os._exit(1)


def main():
    if sys.version_info < (3, 11) or sys.implementation.name != "cpython":
        refuse(
            "the model's Python is %s %d.%d; models in Python need CPython 3.11 or newer"
            % (sys.implementation.name, sys.version_info[0], sys.version_info[1])
        )
    # start.py lies in FOLDER/tensord/worker, as it was named: links in between are not followed.
    folder = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    sys.path.insert(0, folder)
    try:
        import _channel

        from tensord.worker import bridge
    except Exception as error:
        refuse("the worker's own modules cannot be imported: %s" % error)
    status = _channel.main(sys.argv[1], sys.argv[2], bridge)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


main()
