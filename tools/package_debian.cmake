# SPDX-License-Identifier: Apache-2.0
# What Debian asks of the files of a package, done by CPack before it packs them: pages and change logs are compressed,
# and no file is newer than SOURCE_DATE_EPOCH.
execute_process(COMMAND find ${CPACK_TEMPORARY_INSTALL_DIRECTORY} "(" -path "*/man/*" -o -name changelog ")" -type f
                        -exec gzip -9nf {} + COMMAND_ERROR_IS_FATAL ANY)
if(DEFINED ENV{SOURCE_DATE_EPOCH})
    execute_process(COMMAND find ${CPACK_TEMPORARY_INSTALL_DIRECTORY} -exec touch -h -d @$ENV{SOURCE_DATE_EPOCH} {} +
                    COMMAND_ERROR_IS_FATAL ANY)
endif()
