from components.common.tensorflow import fix_environment
from pipeline.process import settle_process

settle_process()  # before anything is imported that asks for a home; a git hook may run the tests
fix_environment()
